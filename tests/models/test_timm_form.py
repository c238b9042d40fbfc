"""Checkpoints as networks of timm: the same numbers as ours, at the demo's sizes and at double resolution."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file

from dbot.base.errors import UserError
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.classifier import build_classifier, load_classifier
from dbot.models.encoder import encode_all
from dbot.models.timm_form import as_timm, crop_share, evaluation_resize, hub_config, statistics_of, timm_form, timm_weights
from dbot.params.recipes import Decoder


def exported(folder, weights, about, params):
    """What `timm.create_model` makes of a checkpoint, as a stranger calls it."""
    named = timm_weights(weights, about)
    save_file({name: tensor.contiguous() for name, tensor in named.items()}, folder / "model.safetensors")
    config = hub_config(timm_form(about, named), about, statistics_of(about, params.normalisation))
    (folder / "config.json").write_text(json.dumps(config))
    return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()


@pytest.mark.parametrize("name", ["B", "L", "H"])
@pytest.mark.parametrize("pooling", ["average", "class_token"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_classifier_has_the_same_logits(tmp_path, demo, name, pooling, times):
    architecture = demo.architectures[name]
    size = times * architecture.image_size
    torch.manual_seed(0)
    ours = build_classifier(architecture, 7, architecture.image_size, pooling)
    larger = build_classifier(architecture, 7, size, pooling).eval()
    load_classifier(larger, ours.state_dict(), "test")
    about = {
        "kind": "classifier",
        "architecture": architecture.model_dump(),
        "image_size": size,
        "pooling": pooling,
        "classes": list("abcdefg"),
    }
    theirs = exported(tmp_path, larger.state_dict(), about, demo)
    images = torch.randn(3, 3, size, size)
    with torch.no_grad():
        assert torch.equal(theirs(images), larger(images))
    assert theirs.pretrained_cfg["label_names"] == list("abcdefg")
    assert timm.data.resolve_model_data_config(theirs)["input_size"] == (3, size, size)


def test_a_student_becomes_a_backbone(tmp_path, demo):
    architecture = demo.architectures["B"]
    student = AsymmetricStudent(architecture, Decoder(width=8, depth=1, heads=2), 16).eval()
    about = {"kind": "student", "architecture": architecture.model_dump(), "recipe": {"design": "asymmetric"}}
    theirs = exported(tmp_path, student.state_dict(), about, demo)
    images = torch.randn(2, 3, architecture.image_size, architecture.image_size)
    with torch.no_grad():
        tokens = encode_all(student.encoder, images, final_norm=True)
        assert torch.equal(theirs.forward_features(images), tokens)
        assert torch.equal(theirs(images), tokens[:, 1:].mean(dim=1))
    assert timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=5)(images).shape == (2, 5)


def test_what_is_no_network_is_refused(demo):
    with pytest.raises(UserError, match=r"o\.safetensors: holds no network \(its kind is optimizer\)"):
        as_timm({}, {"kind": "optimizer"}, "o.safetensors")
    architecture = demo.architectures["B"]
    classifier = build_classifier(architecture, 3, architecture.image_size, "average").state_dict()
    classifier.pop("head.bias")
    about = {"kind": "classifier", "architecture": architecture.model_dump(), "pooling": "average", "classes": ["a", "b", "c"]}
    with pytest.raises(UserError, match=r"is not the network that its header describes .*head\.bias") as caught:
        as_timm(classifier, about, "c.safetensors")
    assert "\n" not in str(caught.value)


def test_the_crop_of_the_published_evaluation():
    assert [round(size * evaluation_resize(size)) for size in (224, 448)] == [256, 448]


@pytest.mark.parametrize("resize", [256 / 224, 1.0, 1.25])
def test_timm_s_transform_resizes_and_crops_as_the_evaluation_does(resize):
    for size in range(16, 513, 16):
        share = crop_share(size, resize)
        theirs = timm.data.create_transform((3, size, size), crop_pct=share, interpolation="bicubic", crop_mode="center")
        assert theirs.transforms[0].size == round(size * resize), size
        assert abs(share * resize - 1) < 0.6 / size
