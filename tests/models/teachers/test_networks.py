"""Networks of timm that this project never names, as teachers."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from dbot.base.errors import UserError
from dbot.models.teachers.networks import timm_teacher
from dbot.params.teachers import TimmTeacher


def declared(model: str, size: int, **changes) -> TimmTeacher:
    plain = TimmTeacher(kind="timm", model=model, weights="random", image_size=size, projection=False, data="none", licence="none")
    return plain.model_copy(update=changes)


@pytest.mark.parametrize(
    ("model", "size", "grid", "width", "class_token"),
    [
        ("vit_tiny_patch16_224", 64, 4, 192, True),
        ("vit_small_patch14_reg4_dinov2", 56, 4, 384, True),
        ("swin_tiny_patch4_window7_224", 224, 7, 768, False),
        ("convnext_atto", 64, 2, 320, False),
        ("resnet18", 64, 2, 512, False),
    ],
)
def test_any_network_gives_tokens_on_a_grid(model, size, grid, width, class_token):
    teacher = timm_teacher(declared(model, size), final_norm=False)
    assert (teacher.grid, teacher.width, teacher.has_class_token) == (grid, width, class_token)
    tokens = teacher(torch.rand(2, 3, 32, 32))  # resized to its own size
    assert tokens.shape == (2, grid**2 + class_token, width)
    assert not tokens.requires_grad
    assert not teacher.train().training


def test_tokens_are_the_networks_own():
    """On pixels of its own size, normalised with its own statistics, class token first."""
    teacher = timm_teacher(declared("vit_tiny_patch16_224", 32), final_norm=True)
    pixels = torch.rand(2, 3, 32, 32)
    assert teacher.mean.flatten().tolist() == pytest.approx([0.5] * 3), "this network's own, not ImageNet's"
    with torch.no_grad():
        expected = teacher.network.forward_features((pixels - teacher.mean) / teacher.std)
    torch.testing.assert_close(teacher(pixels), expected)


def test_a_projection_is_applied_to_every_token():
    """As CLIP's targets are taken: final norm, then projection, at all tokens."""
    teacher = timm_teacher(declared("vit_base_patch16_clip_quickgelu_224", 32, projection=True), final_norm=False)
    pixels = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        features = teacher.network.forward_features((pixels - teacher.mean) / teacher.std)
        expected = teacher.network.head(features)
    assert teacher.width == 512
    assert teacher.network.head.in_features == 768
    torch.testing.assert_close(teacher(pixels), expected)


def test_weights_from_a_local_file(tmp_path):
    source = timm.create_model("vit_tiny_patch16_224", img_size=32)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    teacher = timm_teacher(declared("vit_tiny_patch16_224", 32, weights=str(tmp_path / "w.safetensors")), final_norm=False)
    assert torch.equal(teacher.network.blocks[3].mlp.fc1.weight, source.blocks[3].mlp.fc1.weight)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "vit_tiny_patch17_224"}, "timm .* has no such model"),
        ({"weights": "/nowhere/w.pth"}, "/nowhere/w.pth: there is no such file"),
    ],
)
def test_a_teacher_that_cannot_be_is_one_line(changes, said):
    with pytest.raises(UserError, match=said) as caught:
        timm_teacher(declared("vit_tiny_patch16_224", 32).model_copy(update=changes), final_norm=False)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_of_weights(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="can't be loaded"):
        timm_teacher(declared("vit_tiny_patch16_224", 32, weights=str(tmp_path / "w.safetensors")), final_norm=False)
