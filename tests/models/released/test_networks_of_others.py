"""Networks that are almost plain ViTs: what no shape shows is said, and features are those of timm's network."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file

from dbot.base.errors import UserError
from dbot.models.released.take_over import Stated, take_over
from dbot.models.teachers.networks import file_teacher, timm_teacher
from dbot.models.timm_form import as_timm, hub_config, timm_weights
from dbot.params.teachers import FileTeacher, TimmTeacher
from dbot.tasks.features import by_timm
from tests.train.small import AS_THEY_ARE

SMALL = {"img_size": 42, "patch_size": 14, "embed_dim": 192, "depth": 2, "num_heads": 3}


def network(name, **arguments):
    """One of timm with every weight away from where it begins, so that none is without effect."""
    torch.manual_seed(0)
    found = timm.create_model(name, **arguments).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return found


def saved(content, folder):
    torch.save(content, folder / "x.pth")
    return folder / "x.pth"


def features(path, images, **stated):
    weights, about = take_over(path, stated=Stated(**stated))
    with torch.no_grad():
        return as_timm(weights, about, "test")[0].forward_features(images)


def theirs(reference, images):
    with torch.no_grad():
        return reference.forward_features(images)


def test_heads_are_assumed_and_another_number_is_stated(tmp_path):
    """MoCo v3's ViT-S has 12, timm's of the same shapes 6."""
    reference = network("vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2, embed_dim=384, num_heads=12)
    path, said = saved({"state_dict": reference.state_dict()}, tmp_path), []
    _, about = take_over(path, say=said.append)
    assert about["architecture"]["heads"] == 6
    assert said == [
        f"{path}: assumed, since no shape shows it: 6 heads (heads), GELU (activation), pixels normalised as `normalisation` in "
        "params.yaml says (mean, std); another is stated by that key in a declaration, or a flag of `dbot import` (--heads, --architecture)"
    ]
    images = torch.randn(2, 3, 32, 32)
    expected = theirs(reference, images)
    torch.testing.assert_close(features(path, images, heads=12), expected, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(features(path, images), expected, atol=0.1)
    said.clear()
    everything = Stated(heads=12, activation="gelu", mean=[0.5] * 3, std=[0.25] * 3)
    _, about = take_over(path, stated=everything, say=said.append)
    assert about["normalisation"] == {"mean": [0.5] * 3, "std": [0.25] * 3}
    assert said == []
    with pytest.raises(UserError, match="has width 384, which is no multiple of 7 heads"):
        take_over(path, stated=Stated(heads=7))


def test_another_activation(tmp_path):
    reference = network("vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2, act_layer="quick_gelu")
    path, images = saved(reference.state_dict(), tmp_path), torch.randn(2, 3, 32, 32)
    assert torch.equal(features(path, images, activation="quickgelu"), theirs(reference, images))
    assert not torch.equal(features(path, images), theirs(reference, images))


def as_meta_names(reference, registers):
    """DINOv2's own file: registers get no position, the class token does."""
    content = dict(reference.state_dict())
    content["mask_token"] = torch.ones(1, content["cls_token"].shape[-1])
    if registers:
        position = torch.randn_like(content["cls_token"])
        reference.cls_token.data = content["cls_token"] + position
        content["pos_embed"] = torch.cat([position, content["pos_embed"]], dim=1)
        content["register_tokens"] = content.pop("reg_token")
    return content


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("names", ["timm", "released", "training", "chunks"])
def test_dinov2(tmp_path, registers, names):
    reference = network(f"vit_small_patch14_{'reg4_' if registers else ''}dinov2", num_classes=0, **SMALL)
    content = dict(reference.state_dict()) if names == "timm" else as_meta_names(reference, registers)
    if names in ("training", "chunks"):
        blocks = "blocks.0." if names == "chunks" else "blocks."
        backbone = {f"backbone.{name}".replace("blocks.", blocks): tensor for name, tensor in content.items()}
        content = {"teacher": {**backbone, "dino_head.last_layer.weight": torch.ones(2)}}
    path, images = saved(content, tmp_path), torch.randn(2, 3, 42, 42)
    _, about = take_over(path)
    assert about["layout"] == {"timm": "vit", "released": "dinov2"}.get(names, "dino")
    torch.testing.assert_close(features(path, images), theirs(reference, images), atol=1e-5, rtol=1e-5)
    teacher = file_teacher(declared(path, 42), True, AS_THEY_ARE)
    (expected,) = reference.forward_intermediates(images, indices=1, norm=True, output_fmt="NLC", intermediates_only=True)
    torch.testing.assert_close(teacher(images)[:, 1:], expected, atol=1e-5, rtol=1e-5)
    assert file_teacher(declared(path, 70), False, AS_THEY_ARE)(torch.rand(1, 3, 70, 70)).shape == (1, 26, 192)


def declared(path, size, **more):
    return FileTeacher(kind="file", path=str(path), layout=None, image_size=size, data="none", licence="none", **more)


def test_dinov2_exported_and_embedded(tmp_path):
    """Registers are no patches: neither timm's mean nor that of `dbot embed` has them."""
    reference = network("vit_small_patch14_reg4_dinov2", num_classes=0, **SMALL)
    weights, about = take_over(saved(reference.state_dict(), tmp_path))
    ours, form = as_timm(weights, about, "test")
    (tmp_path / "exported").mkdir()
    save_file(timm_weights(weights, about), tmp_path / "exported/model.safetensors")
    (tmp_path / "exported/config.json").write_text(json.dumps(hub_config(form, about, AS_THEY_ARE)))
    exported = timm.create_model(f"local-dir:{tmp_path}/exported", pretrained=True).eval()
    crops = torch.randint(0, 256, (2, 3, 42, 42), dtype=torch.uint8)
    with torch.no_grad():
        expected = theirs(reference, crops / 255)[:, 5:].mean(dim=1)
        torch.testing.assert_close(exported(crops / 255), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(by_timm(ours, AS_THEY_ARE, "average").vectors(crops), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("names", ["timm", "released"])
@pytest.mark.parametrize("classes", [0, 5])
def test_layer_scale_and_positions_of_patches_alone(tmp_path, classes, names):
    """DeiT III."""
    reference = network("deit3_small_patch16_224", num_classes=classes, **{**SMALL, "img_size": 48, "patch_size": 16})
    content = reference.state_dict()
    if names == "released":
        content = {"model": {name.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): t for name, t in content.items()}}
    path, images = saved(content, tmp_path), torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(features(path, images), theirs(reference, images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("classes", [0, 24])
def test_timm_s_towers_of_clip(tmp_path, classes):
    small = {**SMALL, "img_size": 96, "patch_size": 32}
    quick = network("vit_base_patch32_clip_quickgelu_224", num_classes=classes, **small)
    plain = network("vit_base_patch32_clip_224", num_classes=classes, **small)
    images = torch.randn(2, 3, 96, 96)
    path, said = saved(quick.state_dict(), tmp_path), []
    weights, about = take_over(path, say=said.append)
    assert (about["layout"], about["design"], about["projection"]) == ("vit-clip", "clip", classes)
    assert "3 heads (heads), QuickGELU (activation), pixels normalised as CLIP's were (mean, std)" in said[0]
    with torch.no_grad():
        assert torch.equal(as_timm(weights, about, "test")[0](images), quick(images))
    assert torch.equal(features(path, images), theirs(quick, images))
    path = saved(plain.state_dict(), tmp_path)
    assert torch.equal(features(path, images, activation="gelu"), theirs(plain, images))
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": "vit_base_patch32_clip_224", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}})
    )
    assert torch.equal(features(path, images), theirs(plain, images)), "timm's own config.json says which"
    stated = declared(path, 64, activation="gelu", mean=[0.4] * 3, std=[0.2] * 3)
    teacher = file_teacher(stated, False, AS_THEY_ARE)
    assert (teacher.width, teacher.mean.flatten().tolist()) == (classes or 192, pytest.approx([0.4] * 3))


@pytest.mark.parametrize("biased", [False, True])
def test_dinov3_goes_by_timm(tmp_path, biased):
    """Rotary positions: refused here, in a line that says what takes the file; and it does."""
    name = f"vit_small_patch16_dinov3{'_qkvb' if biased else ''}"
    reference = network(name, num_classes=0)
    content = {}
    for key, tensor in reference.state_dict().items():
        key = key.replace("reg_token", "storage_tokens").replace("gamma_1", "ls1.gamma").replace("gamma_2", "ls2.gamma")
        if key.endswith("attn.q_bias"):
            other = reference.state_dict()[key.replace("q_bias", "v_bias").replace("ls1.gamma", "gamma_1")]
            content[key.replace("q_bias", "qkv.bias")] = torch.cat([tensor, torch.zeros_like(tensor), other])
        elif not key.endswith("attn.v_bias"):
            content[key] = tensor
    content |= {"mask_token": torch.ones(1, 384), "rope_embed.periods": torch.ones(16)}
    path = saved(content, tmp_path)
    for layout in (None, "vit", "dinov2"):
        with pytest.raises(UserError, match=r"has rotary positions \(RoPE\), which no encoder here computes") as caught:
            take_over(path, layout)
        assert f"use it as a teacher of timm (kind: timm, model: {name}, weights: {path})" in str(caught.value)
        assert "\n" not in str(caught.value)
    teacher = timm_teacher(
        TimmTeacher(kind="timm", model=name, weights=str(path), image_size=64, projection=False, data="none", licence="none"), True
    )
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = reference.forward_features((images - teacher.mean) / teacher.std)
    torch.testing.assert_close(teacher(images)[:, 1:], expected[:, 5:], atol=1e-5, rtol=1e-5)
    with pytest.raises(UserError, match="has no positions among its weights, as with rotary ones"):
        take_over(saved(reference.state_dict(), tmp_path))


def test_gated_layers_go_by_timm(tmp_path):
    content = dict(network("vit_small_patch14_dinov2", num_classes=0, **SMALL).state_dict())
    content |= {"mask_token": torch.ones(1, 192), "blocks.0.mlp.w12.weight": torch.ones(4, 192)}
    with pytest.raises(
        UserError, match=r"has gated layers \(SwiGLU\) in its blocks, which no encoder here computes; use it as a teacher of timm"
    ):
        take_over(saved(content, tmp_path))
