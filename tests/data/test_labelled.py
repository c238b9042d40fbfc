"""Training crops repeat, and a share of the labels is an even one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dbot.data import labelled
from dbot.data.labelled import TrainingImages, ValidationImages, evenly
from dbot.data.transforms import evaluation_transform, pretrain_transform
from tests.tasks.conftest import manifest  # noqa: F401 (a fixture)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    fraction=st.floats(0.01, 1.0),
    seed=st.integers(0, 5),
)
def test_a_share_is_even_over_the_classes(labels, fraction, seed):
    labels = np.array(labels)
    chosen = evenly(labels, fraction, seed)
    assert (np.diff(chosen) > 0).all()
    for label in np.unique(labels):
        members = (labels == label).sum()
        assert (labels[chosen] == label).sum() == max(1, round(members * fraction)) or fraction == 1.0


def test_a_crop_depends_on_seed_epoch_and_image_alone(manifest, demo):  # noqa: F811
    augmentation = demo.recipes.pretrain["asymmetric-B"].augmentation

    def crops(seed, wheres):
        images = TrainingImages(manifest, pretrain_transform(augmentation, 16), seed)
        return [images[where][0] for where in wheres]

    forward = crops(0, [(0, 1), (0, 2), (1, 1)])
    torch.rand(7)  # whatever was drawn in between
    backward = crops(0, [(1, 1), (0, 2), (0, 1)])
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert not torch.equal(forward[0], forward[2]), "another epoch, another crop"
    assert not torch.equal(forward[0], crops(1, [(0, 1)])[0]), "another seed, another crop"


@pytest.mark.parametrize("limit", [0, 10**9], ids=["read every time", "kept in memory"])
def test_keeping_pixels_changes_nothing(manifest, monkeypatch, limit):  # noqa: F811
    monkeypatch.setattr(labelled, "FITS_IN_MEMORY", limit)
    images = ValidationImages(manifest, evaluation_transform(16, 1.0))
    first = [images[i] for i in range(len(images))]
    again = [images[i] for i in range(len(images))]
    assert (images.pixels._kept is not None) == bool(limit)
    assert all(torch.equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(first, again, strict=True))
