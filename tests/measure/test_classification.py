"""Accuracy, calibration error and Brier score against scikit-learn and definitions written out by hand, degenerate inputs included."""

import csv
import math

import numpy
import pytest
import torch
from sklearn.metrics import brier_score_loss, top_k_accuracy_score

from dbot.measure.classification import BINS, Tally, brier_scores, expected_calibration_error, reliability, reliability_csv
from tests.train.small import ALONE


def drawn(images: int = 400, classes: int = 7, sharpness: float = 2.0, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(images, classes, generator=generator)
    return logits, torch.randint(0, classes, (images,), generator=generator)


def scores(logits, labels, batch: int = 64):
    tally = Tally(torch.device("cpu"))
    for part, wanted in zip(logits.split(batch), labels.split(batch), strict=True):
        tally.add(part, wanted)
    return tally.scores(ALONE)


def ece_by_hand(confidences, right, bins: int = 15) -> float:
    """Guo et al., equation 3, image by image."""
    total = 0.0
    for b in range(bins):
        members = [(c, r) for c, r in zip(confidences, right, strict=True) if b / bins < c <= (b + 1) / bins]
        if members:
            accuracy = sum(r for _, r in members) / len(members)
            confidence = sum(c for c, _ in members) / len(members)
            total += len(members) / len(confidences) * abs(accuracy - confidence)
    return 100 * total


@pytest.mark.parametrize("classes", [2, 3, 7, 40])
@pytest.mark.parametrize("sharpness", [0.1, 2.0, 20.0])
def test_scores_equal_references(classes, sharpness):
    logits, labels = drawn(classes=classes, sharpness=sharpness)
    found, probabilities = scores(logits, labels), logits.double().softmax(dim=1)
    confidences, predicted = probabilities.max(dim=1)
    assert found.images == 400
    assert found.top1 == pytest.approx(100 * (predicted == labels).double().mean().item())
    k, every = min(5, classes), list(range(classes))
    among_five = 1.0 if classes <= 5 else top_k_accuracy_score(labels, logits, k=k, labels=every)
    assert found.top5 == pytest.approx(100 * among_five)
    surprise = -logits.double().log_softmax(dim=1)[torch.arange(400), labels]
    assert found.loss == pytest.approx(surprise.mean().item(), rel=1e-5)
    assert found.brier == pytest.approx(brier_score_loss(labels, probabilities, labels=every, scale_by_half=False))
    assert found.ece == pytest.approx(ece_by_hand(confidences.tolist(), (predicted == labels).tolist()))


def test_bins_are_those_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    generator = torch.Generator().manual_seed(1)
    confidences = torch.rand(1000, generator=generator, dtype=torch.float64)
    right = torch.rand(1000, generator=generator) < confidences
    accuracy, confidence = calibration_curve(right, confidences, n_bins=BINS, strategy="uniform")
    counts, sums, hits = reliability(confidences, right)
    assert hits / counts == pytest.approx(accuracy)
    assert sums / counts == pytest.approx(confidence)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    counts, _, _ = reliability(torch.tensor([0.2, 0.4, 1.0, 0.0], dtype=torch.float64), torch.ones(4, dtype=torch.bool), bins=5)
    assert counts.tolist() == [2, 1, 0, 0, 1]


def test_known_extremes():
    labels = torch.tensor([0, 1, 2, 0])
    sure = 1000 * torch.nn.functional.one_hot(labels, 3).float()
    right, wrong = scores(sure, labels), scores(sure, (labels + 1) % 3)
    assert (right.ece, right.brier, right.top1) == (0, 0, 100)
    assert (wrong.ece, wrong.brier, wrong.top1) == (100, 2, 0), "wrong with certainty is the worst that there is"
    even = scores(torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    assert even.brier == pytest.approx(2 / 3)
    assert even.top1 == pytest.approx(100 / 3), "of equal logits one is the prediction"
    assert even.ece == pytest.approx(0, abs=1e-9), "a third of the images is right, with a third of confidence"


def test_one_class_is_always_right():
    found = scores(torch.randn(5, 1), torch.zeros(5, dtype=torch.int64))
    assert (found.top1, found.top5, found.ece, found.brier, found.loss) == (100, 100, 0, 0, 0)


def test_no_image_has_no_score():
    found = Tally(torch.device("cpu")).scores(ALONE)
    assert found.images == 0
    assert all(math.isnan(value) for value in found.metrics.values())
    assert len(list(csv.DictReader(reliability_csv(found.reliability_3B).splitlines()))) == BINS


def test_logits_that_are_not_finite_end_nothing_and_show():
    logits, labels = drawn(images=8)
    logits[3] = math.nan
    found = scores(logits, labels)
    assert found.images == 8
    assert math.isnan(found.ece)
    assert math.isnan(found.brier)


def test_batches_change_nothing():
    logits, labels = drawn()
    whole, parts = scores(logits, labels, batch=400), scores(logits, labels, batch=7)
    assert parts.metrics == pytest.approx(whole.metrics)
    assert torch.allclose(whole.reliability_3B, parts.reliability_3B)


def test_the_bins_stand_in_a_table():
    logits, labels = drawn()
    found = scores(logits, labels)
    rows = list(csv.DictReader(reliability_csv(found.reliability_3B).splitlines()))
    assert sum(int(row["images"]) for row in rows) == 400
    filled = [row for row in rows if row["images"] != "0"]
    error = sum(int(row["images"]) * abs(float(row["accuracy"]) - float(row["confidence"])) for row in filled) / 4
    assert error == pytest.approx(found.ece, abs=1e-3)
    assert expected_calibration_error(found.reliability_3B) == found.ece
    assert all(float(row["above"]) < float(row["confidence"]) <= float(row["up_to"]) for row in filled)


def test_brier_scores_are_squared_distances():
    logits, labels = drawn(images=20)
    probabilities = logits.double().softmax(dim=1)
    truth = numpy.eye(7)[labels]
    assert brier_scores(probabilities, labels) == pytest.approx(((probabilities.numpy() - truth) ** 2).sum(axis=1))
