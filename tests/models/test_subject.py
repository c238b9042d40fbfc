"""Whatever a person names as a network is built with its own weights, pixels and classes, or refused in one line."""

import json
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from torchvision.transforms.functional import pil_to_tensor

from dbot.base.errors import UserError
from dbot.data.transforms import evaluation_transform, normalise
from dbot.models import checkpoint
from dbot.models.classifier import build_classifier
from dbot.models.subject import Wanted, parameters, subject_of
from dbot.params.scales import Normalisation
from dbot.params.teachers import PackageTeacher, RandomTeacher
from tests.train.small import ARCHITECTURE, RANDOM

IMAGENET = Normalisation(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
CONVOLUTIONAL = "test_resnet"
"""Of timm's registry: its smallest."""


def named(name: str, weights: str | None = None, teachers=None, **wanted):
    return subject_of(name, weights, Wanted(**wanted), teachers or {}, IMAGENET)


def logits(subject, seed: int = 0):
    pixels = torch.randint(0, 256, (2, 3, 60, 50), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    with torch.no_grad():
        return subject.network(normalise(torch.stack([subject.transform(image) for image in pixels]), subject.statistics))


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder in the form of timm's hub, of a tiny ViT."""
    torch.manual_seed(1)
    network = timm.create_model("vit_tiny_patch16_224", **TINY)
    folder = tmp_path / "hub"
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors", {"format": "pt"})
    pixels = {"input_size": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 0.8, "interpolation": "bilinear"}
    config = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 5,
        "model_args": TINY,
        "label_names": ["e", "d", "c", "b", "a"],
        "pretrained_cfg": {**pixels, "num_classes": 5, "classifier": "head", "first_conv": "patch_embed.proj"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("prefix", ["", "local-dir:"])
def test_a_hub_folder_is_what_timm_makes_of_it(hub: Path, prefix: str) -> None:
    found = named(f"{prefix}{hub}")
    assert (found.outputs, found.names, found.image_size) == (5, ["e", "d", "c", "b", "a"], 32)
    theirs = timm.create_model(f"local-dir:{hub}", pretrained=True).eval()
    transform = create_transform(**resolve_data_config({}, model=theirs))
    draws = torch.randint(0, 256, (2, 3, 60, 50), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels = torch.stack([transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in draws])
    with torch.no_grad():
        torch.testing.assert_close(logits(found), theirs(pixels))
    assert found.files == [hub / "model.safetensors"]


def test_what_a_person_says_of_pixels_counts(hub: Path) -> None:
    found = named(str(hub), mean=[0.5] * 3, std=[0.25] * 3, crop_pct=1.0, interpolation="bicubic")
    assert found.statistics == Normalisation(mean=[0.5] * 3, std=[0.25] * 3)
    image = pil_to_tensor(Image.effect_noise((32, 32), 60).convert("RGB"))
    assert torch.equal(found.transform(image), image)


def test_a_checkpoint_of_ours_sees_what_its_evaluation_saw(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_classifier(ARCHITECTURE, 3, 16, "average").eval()
    about = {"kind": "classifier", "design": "asymmetric", "pooling": "average", "image_size": 16, "classes": ["x", "y", "z"]}
    checkpoint.save(tmp_path / "model.safetensors", network.state_dict(), {**about, "architecture": ARCHITECTURE.model_dump()})
    found = named(str(tmp_path / "model.safetensors"))
    assert (found.outputs, found.names, found.statistics, found.pooling) == (3, ["x", "y", "z"], IMAGENET, "average")
    image = torch.randint(0, 256, (3, 41, 29), dtype=torch.uint8)
    assert torch.equal(found.transform(image), evaluation_transform(16, 256 / 224)(image))
    crop = normalise(found.transform(image).unsqueeze(0), found.statistics)
    torch.testing.assert_close(found.network(crop), network(crop))
    assert named(str(tmp_path / "model.safetensors"), image_size=24).network.patch_embed.grid_size == (6, 6)
    with pytest.raises(UserError, match="--image-size is 18: must be a multiple of the patch size"):
        named(str(tmp_path / "model.safetensors"), image_size=18)


def test_a_published_layout_is_read(tmp_path: Path) -> None:
    network = timm.create_model("vit_tiny_patch16_224", **{**TINY, "embed_dim": 192, "num_heads": 3})
    torch.save({"model": network.state_dict()}, tmp_path / "deit.pth")
    found = named(str(tmp_path / "deit.pth"))
    assert (found.outputs, found.names) == (5, ["0", "1", "2", "3", "4"])
    assert parameters(found) == sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("wrapped", [lambda weights: weights, lambda weights: {"state_dict": weights}])
def test_a_network_of_timm_has_the_outputs_of_its_file(tmp_path: Path, wrapped) -> None:
    torch.manual_seed(3)
    network = timm.create_model(CONVOLUTIONAL, num_classes=7).eval()
    torch.save(wrapped(network.state_dict()), tmp_path / "w.pth")
    found = named(CONVOLUTIONAL, str(tmp_path / "w.pth"))
    assert found.outputs == 7
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found.network.parameters(), network.parameters(), strict=True))


def test_random_weights_are_the_same_every_time() -> None:
    assert torch.equal(logits(named(CONVOLUTIONAL, "random")), logits(named(CONVOLUTIONAL, "random")))


def test_a_declared_package_is_the_whole_network() -> None:
    declared = PackageTeacher(
        kind="package",
        network="timm.create_model",
        arguments={"model_name": CONVOLUTIONAL, "num_classes": 4},
        weights=None,
        module="layer3",
        image_size=32,
        mean=[0.3] * 3,
        std=[0.3] * 3,
        data="none",
        licence="none",
    )
    found = named("mine", teachers={"mine": declared})
    assert (found.outputs, found.image_size, found.statistics.mean) == (4, 32, [0.3] * 3)
    assert named("mine", teachers={"mine": declared}, image_size=64).image_size == 64


def test_mistakes_are_one_line(hub: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    for name, weights, said in (
        ("vit_nowhere", None, "vit_nowhere: is neither a file, nor a folder in the form of timm's hub, nor a network of timm"),
        (str(tmp_path / "empty"), None, "is a folder without config.json"),
        (str(tmp_path / "cut.pth"), None, "cut.pth: "),
        (str(hub), "hub", "--weights is hub: is for a network that timm knows by name"),
        (CONVOLUTIONAL, "nowhere.pth", "nowhere.pth: there is no such file of weights for test_resnet"),
        (CONVOLUTIONAL, str(tmp_path / "cut.pth"), "cut.pth: "),
    ):
        with pytest.raises(UserError, match=said) as error:
            named(name, weights)
        assert "\n" not in str(error.value)
    (hub / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds neither model\.safetensors nor"):
        named(str(hub))
    assert isinstance(RANDOM, RandomTeacher)
    with pytest.raises(UserError, match="never: is a teacher of kind random"):
        named("never", teachers={"never": RANDOM})
