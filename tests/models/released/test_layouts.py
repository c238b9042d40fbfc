"""The layouts of others: built from networks of timm, whose weights must come back to the bit."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import checkpoint_filter_fn

from dbot.base.errors import UserError
from dbot.models.released.layouts import MAPS
from dbot.models.released.take_over import take_over
from dbot.models.timm_form import as_timm
from dbot.params.teachers import CLASSIFIERS, SYMMETRIC

SIZE = {"img_size": 16, "patch_size": 4, "embed_dim": 192, "depth": 2, "num_heads": 3}
"""A width whose heads are known."""


def vit(**arguments):
    torch.manual_seed(0)
    return timm.create_model("vit_base_patch16_224", **SIZE, **arguments).eval()


def beit(**arguments):
    torch.manual_seed(0)
    return timm.create_model("beit_base_patch16_224", **SIZE, **arguments).eval()


def pixel_decoder():
    """MAE's: names and shapes of a block or two are enough."""
    names = ("decoder_pos_embed", "decoder_embed.weight", "decoder_blocks.0.attn.qkv.weight", "decoder_norm.weight", "decoder_pred.weight")
    return {"mask_token": torch.ones(1), **{name: torch.ones(2, 2) for name in names}}


def saved(content, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("layout", "content"),
    [
        ("vit", lambda w: w),  # DINO's backbone
        ("vit", lambda w: {"model": w}),  # MAE's encoder
        ("mae", lambda w: {"model": {**w, **pixel_decoder()}}),
        (
            "dino",
            lambda w: {
                "student": {f"module.backbone.{k}": v + 1 for k, v in w.items()},
                "teacher": {
                    **{f"backbone.{k}": v for k, v in w.items()},
                    "head.mlp.0.weight": torch.ones(2),
                    "head.last_layer.weight_g": torch.ones(2),
                },
                "epoch": 3,
            },
        ),
    ],
)
def test_encoders(tmp_path, layout, content):
    network = vit(num_classes=0, global_pool="token")
    weights, about = take_over(saved(content(network.state_dict()), tmp_path / "x.pth"))
    assert (about["layout"], about["kind"]) == (layout, "encoder")
    images = torch.randn(2, 3, 16, 16)
    ours, _ = as_timm(weights, about, "test")
    assert torch.equal(ours.forward_features(images), network.forward_features(images))


@pytest.mark.parametrize(("pool", "pooling"), [("token", "class_token"), ("avg", "average")])
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_classifiers(tmp_path, pool, pooling, ending):
    """DeiT's and timm's, and the fine-tuned ones of MAE and dBOT."""
    network = vit(num_classes=5, global_pool=pool)
    content = network.state_dict() if ending == "safetensors" else {"model": network.state_dict()}
    weights, about = take_over(saved(content, tmp_path / f"x.{ending}"))
    assert (about["layout"], about["pooling"], about["classes"]) == ("vit-classifier", pooling, list("01234"))
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(as_timm(weights, about, "test")[0](images), network(images))


def test_a_classifier_at_another_size_than_its_architecture(tmp_path):
    small = take_over(saved(vit(num_classes=5, global_pool="avg").state_dict(), tmp_path / "small.pth"))[1]["architecture"]
    torch.manual_seed(0)
    large = timm.create_model("vit_base_patch16_224", **{**SIZE, "img_size": 32}, num_classes=5, global_pool="avg")
    path = saved(large.state_dict(), tmp_path / "large.pth")
    from dbot.params.teachers import Architecture

    _, about = take_over(path, None, Architecture.model_validate(small))
    assert (about["image_size"], about["architecture"]["image_size"]) == (32, 16)


@pytest.mark.parametrize("positions", ["table", "absolute"])
def test_symmetric_classifiers(tmp_path, positions):
    """One table of relative positions a block, or absolute positions for detection."""
    absolute = positions == "absolute"
    network = beit(num_classes=5, use_abs_pos_emb=absolute, use_rel_pos_bias=not absolute)
    content = dict(network.state_dict())
    if not absolute:
        content["blocks.0.attn.relative_position_index"] = torch.zeros(17, 17, dtype=torch.long)
    weights, about = take_over(saved({"model": content}, tmp_path / "x.pth"))
    assert about["layout"] == "beit-classifier"
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(as_timm(weights, about, "test")[0](images), network(images))


@pytest.mark.parametrize(("words", "layout"), [(8192, "beit"), (512, "dbot-symmetric")])
def test_beit_and_the_symmetric_student_are_told_apart_by_their_heads(tmp_path, words, layout):
    network = beit(num_classes=0, use_shared_rel_pos_bias=True, use_rel_pos_bias=False, use_fc_norm=False)
    head = {"mask_token": torch.ones(1, 1, 192), "lm_head.weight": torch.ones(words, 192), "lm_head.bias": torch.ones(words)}
    index = {"rel_pos_bias.relative_position_index": torch.zeros(17, 17, dtype=torch.long)}
    weights, about = take_over(saved({"model": {**network.state_dict(), **head, **index}}, tmp_path / "x.pth"))
    assert about["layout"] == layout
    assert ("normalisation" in about) == (layout == "beit")
    assert ("predict.weight" in weights) == (layout == "dbot-symmetric")


def clip_names(network) -> dict[str, torch.Tensor]:
    """A tower's weights as OpenAI names them, with a text tower beside it."""
    inner = [("attn.qkv.", "attn.in_proj_"), ("attn.proj.", "attn.out_proj."), ("norm1.", "ln_1."), ("norm2.", "ln_2.")]
    inner += [("mlp.fc1.", "mlp.c_fc."), ("mlp.fc2.", "mlp.c_proj.")]
    outer = {"patch_embed.proj.weight": "conv1.weight", "norm_pre.weight": "ln_pre.weight", "norm_pre.bias": "ln_pre.bias"}
    outer |= {"norm.weight": "ln_post.weight", "norm.bias": "ln_post.bias"}
    found = {}
    for name, tensor in network.state_dict().items():
        if name.startswith("blocks."):
            for ours, theirs in inner:
                name = name.replace(ours, theirs)
            found[f"visual.transformer.res{name}"] = tensor
        elif name in outer:
            found[f"visual.{outer[name]}"] = tensor
    found["visual.class_embedding"] = network.cls_token.detach()[0, 0]
    found["visual.positional_embedding"] = network.pos_embed.detach()[0]
    found["visual.proj"] = network.head.weight.detach().T.contiguous()
    text = ("transformer.resblocks.0.ln_1.weight", "token_embedding.weight", "positional_embedding", "ln_final.bias", "text_projection")
    return found | {name: torch.ones(2) for name in text} | {"logit_scale": torch.tensor(4.6)}


def test_clip_s_tower(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("vit_base_patch16_clip_quickgelu_224", **SIZE, num_classes=24).eval()
    torch.nn.init.zeros_(network.head.bias)
    named = clip_names(network)
    assert any(name.startswith("visual.transformer.resblocks.1.") for name in named)
    weights, about = take_over(saved(named, tmp_path / "clip.pt"))
    assert (about["layout"], about["projection"], about["architecture"]["heads"]) == ("clip", 24, 3)
    # timm's own reading of these files is the judge.
    judge = checkpoint_filter_fn(named, network)
    assert weights.keys() == {f"encoder.{name}" for name in judge}
    assert all(torch.equal(weights[f"encoder.{name}"], tensor) for name, tensor in judge.items())
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(as_timm(weights, about, "test")[0](images), network(images))


def test_a_named_layout_overrules(tmp_path):
    path = saved({"model": {**vit(num_classes=0, global_pool="token").state_dict(), **pixel_decoder()}}, tmp_path / "x.pth")
    with pytest.raises(UserError, match="holds mask_token, which layout vit doesn't have"):
        take_over(path, "vit")


def test_an_unknown_layout_says_what_is_known(tmp_path):
    with pytest.raises(UserError, match=r"its names \(conv1.weight, …\) are of no known layout; known are: dbot-asymmetric, mae"):
        take_over(saved({"conv1.weight": torch.ones(1)}, tmp_path / "x.pth"))


def test_pixel_statistics_that_lie_beside_a_file_of_timm_s(tmp_path):
    path = saved(vit(num_classes=5).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "x", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}')
    assert take_over(path)[1]["normalisation"] == {"mean": [0.5] * 3, "std": [0.5] * 3}


def test_params_and_maps_know_the_same_layouts():
    assert {layout for layout, found in MAPS.items() if found.kind == "classifier"} == set(CLASSIFIERS)
    assert {layout for layout, found in MAPS.items() if found.design == "symmetric"} == set(SYMMETRIC)
