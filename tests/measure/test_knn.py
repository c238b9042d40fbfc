"""k-NN against a computation of every pair in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.measure import knn as module
from dbot.measure.knn import LabelledFeatures, knn, require_neighbours
from tests.measure.data import blobs
from tests.processes import together
from tests.train.small import ALONE


def by_hand(train: LabelledFeatures, validation: LabelledFeatures, k: int, temperature: float, classes: int) -> np.ndarray:
    """Votes of each class for each validation image, in float64."""
    bank, queries = (part.values_ND.double().numpy() for part in (train, validation))
    bank, queries = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (bank, queries))
    votes = np.zeros((len(queries), classes))
    for query, row in enumerate(queries):
        similarities = [float(row @ other) for other in bank]
        for neighbour in sorted(range(len(bank)), key=lambda n: -similarities[n])[:k]:
            votes[query, int(train.labels_N[neighbour])] += np.exp((similarities[neighbour] - 1) / temperature)
    return votes


@settings(deadline=None, max_examples=40)
@given(
    train_images=st.integers(5, 40),
    validation_images=st.integers(1, 12),
    width=st.integers(2, 6),
    classes=st.integers(1, 4),
    k=st.integers(1, 5),
    temperature=st.sampled_from([0.01, 0.07, 1.0]),
    seed=st.integers(0, 1000),
)
def test_equals_brute_force(train_images, validation_images, width, classes, k, temperature, seed):
    train, validation = blobs(train_images, width, classes, seed, 2.0), blobs(validation_images, width, classes, seed + 1, 2.0)
    votes = by_hand(train, validation, k, temperature, classes)
    right = votes.argmax(axis=1) == validation.labels_N.numpy()
    ranked = np.sort(votes, axis=1)
    close = ranked[:, -2] > 0.999 * ranked[:, -1] if classes > 1 else np.zeros(len(right), bool)
    found = knn(train, validation, [k], temperature, classes, ALONE)[k] * len(right) / 100
    assert (right & ~close).sum() - 1e-6 <= found <= (right | close).sum() + 1e-6, "float32 may decide what is closer than it can tell"


def test_the_parts_that_are_compared_at_once_change_nothing(monkeypatch):
    train, validation = blobs(300, 8, 5, 0), blobs(70, 8, 5, 1)
    whole = knn(train, validation, [1, 10, 20], 0.07, 5, ALONE)
    assert 20 < whole[10] < 100
    for queries, bank in ((7, 300), (70, 11), (1, 1)):
        monkeypatch.setattr(module, "QUERIES", queries)
        monkeypatch.setattr(module, "BANK", bank)
        assert knn(train, validation, [1, 10, 20], 0.07, 5, ALONE) == whole


def test_only_directions_count():
    train, validation = blobs(60, 4, 3, 0), blobs(20, 4, 3, 1)
    longer = LabelledFeatures(train.values_ND * torch.linspace(1, 50, 60).unsqueeze(1), train.labels_N)
    assert knn(longer, validation, [5], 0.07, 3, ALONE) == knn(train, validation, [5], 0.07, 3, ALONE)


def test_equal_votes_go_to_the_lower_class():
    train = LabelledFeatures(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), torch.tensor([2, 1]))
    validation = LabelledFeatures(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert knn(train, validation, [2], 0.07, 3, ALONE) == {2: 100.0}


def test_near_neighbours_outvote_many_far_ones():
    train = LabelledFeatures(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [0.2, 1.0]]), torch.tensor([0, 1, 1, 1]))
    validation = LabelledFeatures(torch.tensor([[1.0, 0.1]]), torch.tensor([0]))
    assert knn(train, validation, [4], 0.07, 2, ALONE) == {4: 100.0}
    assert knn(train, validation, [4], 100.0, 2, ALONE) == {4: 0.0}, "and at a high temperature they don't"
    assert knn(train, validation, [4], 1e-3, 2, ALONE) == {4: 100.0}, "nor does a low one overflow"


def test_too_few_training_images_are_one_line():
    require_neighbours([10, 20], 20, "probes.knn.k")
    with pytest.raises(UserError, match=r"^probes.knn.k is 20, but only 19 training images"):
        require_neighbours([10, 20], 19, "probes.knn.k")


def shared(group, folder):
    return knn(blobs(90, 6, 4, 0), blobs(31, 6, 4, 1), [3, 10], 0.07, 4, group)


def test_every_validation_image_counts_once_on_several_processes(tmp_path):
    alone = shared(ALONE, tmp_path)
    assert all(found == alone for found in together(shared, tmp_path)), "31 images don't divide evenly"
