"""Pairs of images and label maps repeat, and wrong ones are named."""

import pytest
import torch
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.labelmaps import pairs
from dbot.data.labelmaps.pairs import TrainingPairs, ValidationPairs
from dbot.data.labelmaps.transforms import training_transform
from dbot.data.labelmaps.values import IGNORE
from dbot.params.datasets import Check
from tests.tasks.small_segmentation import declared, prepared, recipe, write_maps


@pytest.fixture
def manifest(tmp_path):
    root = write_maps(tmp_path / "set", {"train": [(16, 20), (24, 16)], "val": [(16, 16), (10, 30), (20, 12)]})
    return prepared(declared(root), tmp_path / "prepared")


def test_a_crop_depends_on_seed_epoch_and_image_alone(manifest, demo):
    def crops(seed, wheres):
        images = TrainingPairs(manifest, training_transform(recipe().augmentation, demo.normalisation), seed)
        return [images[where] for where in wheres]

    forward = crops(0, [(0, 1), (0, 0), (1, 1)])
    torch.rand(7)  # whatever was drawn in between
    backward = crops(0, [(1, 1), (0, 0), (0, 1)])
    for one, other in zip(forward, reversed(backward), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(forward[0][0], forward[2][0]), "another epoch, another crop"
    assert not torch.equal(forward[0][0], crops(1, [(0, 1)])[0][0]), "another seed, another crop"


def test_every_validation_image_goes_to_one_process(manifest):
    alone = [image for image, _ in (ValidationPairs(manifest)[i] for i in range(3))]
    shared = [ValidationPairs(manifest, rank, 2)[i][0] for rank in range(2) for i in range(2 - rank)]
    assert len(ValidationPairs(manifest, 0, 2)) == 2
    assert len(ValidationPairs(manifest, 1, 2)) == 1
    for image in alone:
        assert sum(image.shape == other.shape and torch.equal(image, other) for other in shared) == 1


def test_maps_are_read_in_their_convention(manifest):
    image, classes = ValidationPairs(manifest)[0]
    assert image.shape[1:] == classes.shape
    assert set(classes.unique().tolist()) == {0, 1, 2, IGNORE}
    assert (classes[0] == IGNORE).all()


@pytest.mark.parametrize("limit", [0, 10**9], ids=["read every time", "kept in memory"])
def test_keeping_pixels_changes_nothing(manifest, monkeypatch, limit):
    monkeypatch.setattr(pairs, "FITS_IN_MEMORY", limit)
    images = ValidationPairs(manifest)
    assert (images.pairs._kept is not None) == bool(limit)
    for first, again in zip([images[i] for i in range(3)], [images[i] for i in range(3)], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("change", "said"),
    [(Image.new("L", (16, 16), 4), "holds the value 4"), (Image.new("L", (9, 16), 1), "pixels, its image"), (None, "is missing")],
)
def test_what_prepare_did_not_look_at_is_named_when_it_is_read(tmp_path, change, said):
    root = write_maps(tmp_path / "set", {"train": [(16, 16)], "val": [(16, 16)]})
    manifest = prepared(declared(root, check=Check(decode="none", unreadable="refuse")), tmp_path / "prepared")
    path = root / "maps/val/0.png"
    path.unlink()
    if change is not None:
        change.save(path)
    with pytest.raises(UserError, match=said) as error:
        ValidationPairs(manifest)[0]
    assert "maps/val/0.png" in str(error.value)
