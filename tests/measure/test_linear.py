"""The linear probe against scikit-learn's logistic regression, and how it chooses its strength."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from dbot.base.errors import UserError
from dbot.measure import linear as module
from dbot.measure.knn import LabelledFeatures
from dbot.measure.linear import accuracy, fit, linear_probe, split
from dbot.params.probes import Linear
from tests.measure.data import blobs
from tests.processes import together
from tests.train.small import ALONE

FIGURES = Linear(strengths=[1.0, 1e-2, 1e-4], holdout=0.2, seed=0, tolerance=1e-5, iterations=1000)


def everything(features: LabelledFeatures) -> np.ndarray:
    return np.arange(len(features))


@pytest.mark.parametrize("strength", [1e-1, 1e-2, 1e-4])
def test_equals_scikit_learn(strength):
    train, validation = blobs(400, 12, 5, 0, 1.5, scales=True), blobs(200, 12, 5, 1, 1.5, scales=True)
    ours = fit(train, everything(train), 5, strength, FIGURES.model_copy(update={"tolerance": 1e-8}), ALONE)
    assert ours.converged
    scaler = StandardScaler().fit(train.values_ND.double().numpy())
    theirs = LogisticRegression(C=1 / (strength * len(train)), tol=1e-8, max_iter=10000)
    theirs.fit(scaler.transform(train.values_ND.double().numpy()), train.labels_N.numpy())
    np.testing.assert_allclose(ours.weight_CD.numpy(), theirs.coef_, atol=1e-4, rtol=1e-4)
    # All biases can be moved together without a change of any probability.
    np.testing.assert_allclose((ours.bias_C - ours.bias_C.mean()).numpy(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-4)
    expected = 100 * theirs.score(scaler.transform(validation.values_ND.double().numpy()), validation.labels_N.numpy())
    assert 30 < expected < 100
    assert accuracy(ours, validation, everything(validation), ALONE) == pytest.approx(expected, abs=0.51), "one image of 200"


def test_the_rows_that_are_computed_at_once_change_nothing(monkeypatch):
    train = blobs(100, 6, 3, 0)
    whole = fit(train, everything(train), 3, 1e-2, FIGURES, ALONE)
    monkeypatch.setattr(module, "ROWS", 7)
    parts = fit(train, everything(train), 3, 1e-2, FIGURES, ALONE)
    torch.testing.assert_close(parts.weight_CD, whole.weight_CD, atol=1e-4, rtol=1e-3)


def test_features_that_are_constant_up_to_rounding_say_nothing():
    train = blobs(90, 4, 3, 0)
    still = torch.stack([torch.zeros(90), torch.full((90,), 0.1), 1e3 * (1 + 1e-7 * torch.randn(90))], dim=1)
    with_still = LabelledFeatures(torch.cat([train.values_ND, still], dim=1), train.labels_N)
    found = fit(with_still, everything(train), 3, 1e-2, FIGURES, ALONE)
    assert found.weight_CD[:, 4:].abs().max() < 1e-2
    torch.testing.assert_close(
        found.weight_CD[:, :4], fit(train, everything(train), 3, 1e-2, FIGURES, ALONE).weight_CD, atol=1e-3, rtol=1e-3
    )


def test_a_start_leads_to_the_same_place():
    train = blobs(120, 6, 3, 0)
    elsewhere = fit(train, everything(train), 3, 1.0, FIGURES, ALONE)
    warm, cold = (fit(train, everything(train), 3, 1e-2, FIGURES, ALONE, start) for start in (elsewhere, None))
    torch.testing.assert_close(warm.weight_CD, cold.weight_CD, atol=1e-3, rtol=1e-3)


def test_a_solver_that_is_cut_off_says_so():
    train = blobs(120, 6, 3, 0)
    assert not fit(train, everything(train), 3, 1e-4, FIGURES.model_copy(update={"iterations": 2}), ALONE).converged


def test_the_strength_is_chosen_on_train_alone():
    """By accuracy on the part that was held out; labels of validation change the result, and never the choice."""
    train, validation = blobs(120, 40, 4, 0, 6.0), blobs(80, 40, 4, 1, 6.0)
    found = linear_probe(train, validation, 4, FIGURES, ALONE)
    assert found.held_out[found.strength] == max(found.held_out.values()) > min(found.held_out.values())
    assert set(found.held_out) == set(FIGURES.strengths)
    fitted, held = split(train.labels_N.numpy(), FIGURES)
    for strength, expected in found.held_out.items():
        assert accuracy(fit(train, fitted, 4, strength, FIGURES, ALONE), train, held, ALONE) == pytest.approx(expected)
    refitted = fit(train, everything(train), 4, found.strength, FIGURES, ALONE)
    assert found.top1 == accuracy(refitted, validation, everything(validation), ALONE)
    wrong = linear_probe(train, LabelledFeatures(validation.values_ND, (validation.labels_N + 1) % 4), 4, FIGURES, ALONE)
    assert (wrong.strength, wrong.held_out) == (found.strength, found.held_out)
    assert wrong.top1 < found.top1


def test_of_equally_good_strengths_the_largest_is_taken():
    train, validation = blobs(60, 6, 3, 0, 0.01), blobs(30, 6, 3, 1, 0.01)
    found = linear_probe(train, validation, 3, FIGURES, ALONE)
    assert set(found.held_out.values()) == {100.0}
    assert (found.strength, found.top1) == (1.0, 100.0)


def test_every_class_is_held_out_in_proportion():
    labels = np.repeat([0, 1, 2], [50, 20, 10])
    fitted, held = split(labels, FIGURES)
    assert sorted([*fitted, *held]) == list(range(80))
    assert np.bincount(labels[held]).tolist() == [10, 4, 2]
    again, other = split(labels, FIGURES)[1], split(labels, FIGURES.model_copy(update={"seed": 1}))[1]
    assert again.tolist() == held.tolist() != other.tolist()
    with pytest.raises(UserError, match=r"^probes.linear.holdout is 0.2: no class has enough training images"):
        split(np.arange(5), FIGURES)


def shared(group, folder):
    train, validation = blobs(91, 12, 4, 0, 2.0), blobs(33, 12, 4, 1, 2.0)
    found = linear_probe(train, validation, 4, FIGURES, group)
    weight = fit(train, everything(train), 4, 1e-2, FIGURES, group).weight_CD
    return {"top1": found.top1, "strength": found.strength, "held_out": found.held_out, "weight": weight}


def test_processes_that_share_the_rows_find_the_same(tmp_path):
    alone = shared(ALONE, tmp_path)
    first, second = together(shared, tmp_path)
    assert torch.equal(first.pop("weight"), second["weight"])
    torch.testing.assert_close(second.pop("weight"), alone.pop("weight"), atol=1e-3, rtol=1e-3)
    assert first == second
    assert (first["strength"], first["top1"]) == (alone["strength"], pytest.approx(alone["top1"]))
