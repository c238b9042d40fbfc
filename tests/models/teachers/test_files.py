"""The network of a local file as a teacher, in whatever layout it comes."""

import pytest
import timm
import torch

from dbot.base.errors import UserError
from dbot.distill.boundary import begin_stage
from dbot.models import checkpoint
from dbot.models.encoder import encode_all
from dbot.models.teachers.networks import file_teacher
from dbot.params.teachers import FileTeacher
from tests.train.small import ARCHITECTURE, AS_THEY_ARE, RANDOM, recipe_like


def declared(path, **changes) -> FileTeacher:
    plain = FileTeacher(kind="file", path=str(path), layout=None, image_size=16, data="none", licence="none")
    return plain.model_copy(update=changes)


@pytest.mark.parametrize("design", ["asymmetric", "symmetric"])
@pytest.mark.parametrize("final_norm", [False, True])
def test_a_checkpoint_of_this_project(demo, tmp_path, design, final_norm):
    student, _ = begin_stage(ARCHITECTURE, recipe_like(demo.recipes.pretrain[design]), 1, RANDOM, AS_THEY_ARE)
    about = {"kind": "student", "design": design, "architecture": ARCHITECTURE.model_dump()}
    checkpoint.save(tmp_path / "student.safetensors", student.state_dict(), about)
    teacher = file_teacher(declared(tmp_path / "student.safetensors"), final_norm, AS_THEY_ARE)
    assert (teacher.grid, teacher.width, teacher.has_class_token) == (4, 16, True)
    pixels = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = encode_all(student.encoder.eval(), pixels, final_norm)
    torch.testing.assert_close(teacher(pixels), expected)


def test_a_foreign_layout_on_another_grid(tmp_path):
    """A plain ViT as others save it: positions resized, the asked-for block, the project's statistics."""
    network = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=3, num_classes=0).eval()
    torch.save({"model": network.state_dict()}, tmp_path / "vit.pth")
    teacher = file_teacher(declared(tmp_path / "vit.pth", image_size=48, block=1), False, AS_THEY_ARE)
    assert (teacher.grid, teacher.width) == (3, 192)
    assert teacher(torch.rand(1, 3, 48, 48)).shape == (1, 10, 192)
    same = file_teacher(declared(tmp_path / "vit.pth", image_size=64, block=1), False, AS_THEY_ARE)
    pixels = torch.rand(2, 3, 64, 64)
    (expected,) = network.forward_intermediates(pixels, indices=[1], output_fmt="NLC", intermediates_only=True)
    torch.testing.assert_close(same(pixels)[:, 1:], expected)


def test_misfits_are_one_line(tmp_path):
    network = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=3, num_classes=0)
    torch.save(network.state_dict(), tmp_path / "vit.pth")
    cut = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("blocks.1.")}
    torch.save(cut, tmp_path / "cut.pth")
    for changes, said in (
        ({"image_size": 50}, "it must be a multiple of its patch size, 16"),
        ({"image_size": 64, "block": 7}, "change its image_size or its block"),
        ({"image_size": 64, "path": str(tmp_path / "cut.pth")}, "lacks blocks.1"),
        ({"image_size": 64, "path": str(tmp_path / "none.pth")}, "can't be read"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            file_teacher(declared(tmp_path / "vit.pth").model_copy(update=changes), False, AS_THEY_ARE)
        assert "\n" not in str(caught.value)
