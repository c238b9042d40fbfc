"""Linear segmentation: colours that a linear layer tells apart are found, and what has no class counts nowhere."""

from pathlib import Path

import pytest
import torch

from dbot.base.errors import UserError
from dbot.data.at_hand import maps_folder
from dbot.data.labelmaps.values import IGNORE
from dbot.models.subject import Wanted, subject_of
from dbot.params.datasets import Dataset
from dbot.params.probes import LinearSegmentation
from dbot.tasks.measuring.segmentation import segmentation, trained_layer
from tests.tasks import small_segmentation
from tests.tasks.measuring.coloured import RUN, image, values

CONFIG = LinearSegmentation(epochs=60, batch_size=4, learning_rate=0.05, weight_decay=0.0, seed=0)


def test_a_linear_layer_learns_what_is_linear() -> None:
    draws = torch.Generator().manual_seed(0)
    tokens = torch.randn(12, 5, 4, 4, generator=draws)
    truth = tokens[:, :3].argmax(dim=1)
    maps = truth.repeat_interleave(2, 1).repeat_interleave(2, 2).byte()
    maps[:, 0] = IGNORE
    layer = trained_layer(tokens, maps, 3, CONFIG, torch.device("cpu"))
    with torch.no_grad():
        found = layer(tokens).argmax(dim=1)
    assert (found == truth)[:, 1:].float().mean() > 0.9
    again = trained_layer(tokens, maps, 3, CONFIG, torch.device("cpu"))
    assert torch.equal(layer.weight, again.weight)


def test_stripes_are_found(tmp_path: Path, demo) -> None:
    root = small_segmentation.write_maps(tmp_path / "maps", {"train": [(48, 48)] * 10, "val": [(48, 60), (40, 48)]})
    network = subject_of("test_vit", "random", Wanted(image_size=160), {}, demo.normalisation)
    found = segmentation(network, maps_folder(root, small_segmentation.declared(root)), CONFIG, RUN)
    assert {one.images for one in found} == {2}
    assert values(found)["pixel accuracy"] > 60, "a third is what guessing finds"
    assert 0 < values(found)["mIoU"] <= values(found)["mean accuracy"] <= 100


def test_what_has_no_label_maps_is_one_line(tmp_path: Path) -> None:
    for part in ("train", "val"):
        image(tmp_path / part / "a" / "x.png", 1)
    with pytest.raises(UserError, match="needs images/training/ with label maps in annotations/training/"):
        maps_folder(tmp_path)
    with pytest.raises(UserError, match="is of layout imagefolder, without label maps"):
        maps_folder(tmp_path, Dataset(title="classes", root=str(tmp_path)))


def test_ade20ks_folders_are_known(tmp_path: Path) -> None:
    root = small_segmentation.write_maps(tmp_path / "maps", {"training": [(20, 24)], "validation": [(20, 24)] * 2})
    (root / "maps").rename(root / "annotations")
    (root / "objectInfo150.txt").write_text("Idx\tName\n1\tred\n2\tgreen\n3\tblue\n")
    found = maps_folder(root)
    assert found.classes == ["red", "green", "blue"]
    pixels, truth = found.pair(found.samples["validation"][1])
    assert pixels.shape[1:] == truth.shape == (20, 24)
    assert (truth[0] == IGNORE).all()
