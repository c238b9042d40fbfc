"""Files laid out as the published ones: taken over whole, with the published features, or refused."""

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from dbot.base.errors import UserError
from dbot.distill.masking import random_mask
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.checkpoint import part
from dbot.models.classifier import build_classifier, load_classifier, load_encoder
from dbot.models.encoder import encode_visible
from dbot.models.released.take_over import take_over
from dbot.models.timm_form import as_timm
from dbot.params.recipes import Decoder
from tests.parity.conftest import figures
from tests.parity.test_asymmetric_pretrain import RATIO, renamed


def test_the_pretrained_student_predicts_what_was_published(official, pretrain):
    weights, about = take_over(official["asymmetric_pre"], None, pretrain.architecture)
    assert (about["kind"], about["design"], about["layout"]) == ("student", "asymmetric", "dbot-asymmetric")
    student = AsymmetricStudent(pretrain.architecture, pretrain.decoder, weights["decoder.predict.bias"].shape[0])
    student.load_state_dict(weights)
    mask = random_mask(pretrain["noise"], RATIO)
    with torch.no_grad():
        latent = encode_visible(student.encoder, pretrain["images"], mask.keep_BK)
        pred = student(pretrain["images"], mask.keep_BK, mask.restore_BN)
    if torch.equal(weights["encoder.cls_token"], pretrain["after_step/cls_token"]):
        # This file holds the weights of one step later than the features were computed with.
        after = renamed(pretrain.below("after_step/"))
        assert all(torch.equal(weights[name], after[name]) for name in weights)
    else:
        assert_close(latent, pretrain["latent"], atol=1e-5, rtol=1e-5)
        assert_close(pred, pretrain["pred"], atol=1e-5, rtol=1e-5)


def test_the_encoder_in_timm_s_form_is_the_same_network(official, pretrain):
    weights, about = take_over(official["asymmetric_pre"], None, pretrain.architecture)
    network, _ = as_timm(weights, about, "test")
    student = AsymmetricStudent(pretrain.architecture, pretrain.decoder, weights["decoder.predict.bias"].shape[0]).eval()
    student.load_state_dict(weights)
    images = pretrain["images"]
    everything = torch.arange(pretrain.architecture.grid**2).expand(len(images), -1)
    with torch.no_grad():
        assert_close(network.forward_features(images), encode_visible(student.encoder, images, everything), atol=1e-6, rtol=1e-6)


def test_the_finetuned_classifier_has_the_published_logits(official, network):
    published = figures("asymmetric_finetune")
    weights, about = take_over(official["asymmetric_finetune"], None, network)
    assert (about["kind"], about["pooling"], about["image_size"]) == ("classifier", "average", published.config["img_size"])
    classifier = build_classifier(network, len(about["classes"]), about["image_size"], about["pooling"]).eval()
    load_classifier(classifier, weights, "test")
    with torch.no_grad():
        assert_close(classifier(published["images"]), published["logits"], atol=1e-5, rtol=1e-5)
        assert_close(as_timm(weights, about, "test")[0](published["images"]), published["logits"], atol=1e-5, rtol=1e-5)


def test_the_symmetric_student_is_whole(official):
    """Its relative positions show its heads, so nothing has to be said."""
    weights, about = take_over(official["symmetric_pre"])
    assert (about["kind"], about["design"]) == ("student", "symmetric")
    assert not any("relative_position_index" in name for name in weights)
    assert {name for name in weights if not name.startswith("encoder.")} == {"mask_token", "predict.weight", "predict.bias"}
    network, form = as_timm(weights, about, "test")
    assert form.arguments["use_shared_rel_pos_bias"]
    size = form.image_size
    assert network(torch.zeros(1, 3, size, size)).shape == (1, about["architecture"]["width"])


def test_training_goes_on_from_it(official, network):
    weights, _ = take_over(official["asymmetric_pre"], None, network)
    classifier = build_classifier(network, 3, 2 * network.image_size, "average")
    load_encoder(classifier, part(weights, "encoder."), "test")
    assert torch.equal(classifier.blocks[0].attn.qkv.weight, weights["encoder.blocks.0.attn.qkv.weight"])
    classifier(torch.randn(2, 3, 2 * network.image_size, 2 * network.image_size)).sum().backward()


NARROW = torch.ones(5, 7)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("asymmetric_pre", lambda w: w.pop("blocks.1.mlp.fc1.weight"), "lacks blocks.1.mlp.fc1.weight (layout dbot-asymmetric)"),
        ("asymmetric_pre", lambda w: w.pop("decoder_predp.weight"), "lacks decoder_predp.weight"),
        ("asymmetric_pre", lambda w: w.pop("decoder_blocks.0.attn.proj.bias"), "lacks decoder_blocks.0.attn.proj.bias"),
        ("asymmetric_pre", lambda w: w.pop("mask_token"), "lacks mask_token"),
        ("asymmetric_pre", lambda w: w.pop("patch_embed.proj.weight"), "lacks patch_embed.proj.weight"),
        ("asymmetric_pre", lambda w: w.pop("pos_embed"), "lacks pos_embed"),
        ("asymmetric_pre", lambda w: w.pop("cls_token"), "lacks cls_token"),
        ("asymmetric_pre", lambda w: w.update({"blocks.0.attn.qkv.weight": NARROW}), "blocks.0.attn.qkv.weight is 5x7 and must be "),
        ("asymmetric_pre", lambda w: w.update({"decoder_embed.weight": NARROW}), "decoder_embed.weight is 5x7 and must be "),
        ("asymmetric_pre", lambda w: w.update({"pos_embed": torch.ones(1, 8, 48)}), "has positions that are not those of a square grid"),
        ("asymmetric_pre", lambda w: w.update({"blocks.0.ls1.gamma": NARROW}), "has blocks.0.ls1.gamma, which its network doesn't have"),
        ("asymmetric_pre", lambda w: w.update({"dist_token": NARROW}), "holds dist_token, which layout dbot-asymmetric doesn't have"),
        ("asymmetric_finetune", lambda w: w.pop("head.bias"), "lacks head.bias (layout vit-classifier)"),
        ("asymmetric_finetune", lambda w: w.pop("fc_norm.weight"), "lacks fc_norm.weight"),
        ("symmetric_pre", lambda w: w.pop("blocks.2.gamma_1"), "lacks blocks.2.gamma_1 (layout dbot-symmetric)"),
        ("symmetric_pre", lambda w: w.pop("lm_head.bias"), "lacks lm_head.bias"),
        ("symmetric_pre", lambda w: w.pop("mask_token"), "lacks mask_token (layout dbot-symmetric)"),
        ("symmetric_pre", lambda w: w.pop("rel_pos_bias.relative_position_bias_table"), "lacks rel_pos_bias.relative_position_bias_table"),
        ("symmetric_pre", lambda w: w.update({"blocks.0.attn.q_bias": torch.ones(3)}), "blocks.0.attn.q_bias is 3 and must be "),
    ],
)
def test_anything_but_the_whole_network_is_refused_in_one_line(edited, network, name, change, said):
    path = edited(name, change)
    with pytest.raises(UserError) as caught:
        take_over(path, None, network)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_architecture_than_the_named_is_refused(official, network):
    with pytest.raises(UserError, match=r"has depth 3, where parity has 4 .*nothing was imported"):
        take_over(official["asymmetric_pre"], None, network.model_copy(update={"depth": 4}))
    with pytest.raises(UserError, match="has heads 4, where parity has 3"):
        take_over(official["symmetric_pre"], None, network.model_copy(update={"heads": 3}))


def test_heads_that_no_shape_shows_must_be_named(official):
    with pytest.raises(UserError, match=r"its shapes \(width 48\) don't show how many heads it has; name an architecture"):
        take_over(official["asymmetric_pre"])


def test_safetensors_are_read_as_well(official, network, tmp_path):
    weights, about = take_over(official["asymmetric_finetune"], None, network)
    save_file(weights, tmp_path / "model.safetensors")
    again, told = take_over(tmp_path / "model.safetensors", None, network)
    assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())
    assert told == about


def test_the_decoder_may_be_for_a_wider_teacher(edited, network):
    """As in the published files of a small student and a large teacher."""

    def widen(weights):
        weights["decoder_predp.weight"] = torch.ones(64, weights["decoder_predp.weight"].shape[1])
        weights["decoder_predp.bias"] = torch.ones(64)

    weights, _ = take_over(edited("asymmetric_pre", widen), None, network)
    width = weights["decoder.embed.bias"].shape[0]
    AsymmetricStudent(network, Decoder(width=width, depth=2, heads=4), 64).load_state_dict(weights)
