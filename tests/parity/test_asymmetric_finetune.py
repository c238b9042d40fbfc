"""The published fine-tuning network, its resized positions, its layer decay."""

import json

import pytest
import torch
from torch.testing import assert_close

from dbot.models.classifier import build_classifier, load_classifier
from dbot.models.positions import resize_positions
from dbot.train.optimizer import parameter_groups
from tests.parity.conftest import FOLDER


def classifier(finetune, image_size: int):
    model = build_classifier(finetune.architecture, finetune.config["num_classes"], image_size, "average")
    load_classifier(model, finetune.below("model/"), "the published classifier")
    return model.eval()


def test_logits(finetune):
    with torch.no_grad():
        logits = classifier(finetune, finetune.config["img_size"])(finetune["images"])
    assert_close(logits, finetune["logits"], atol=1e-5, rtol=1e-5)


def test_at_double_size(finetune):
    size = finetune["images_double"].shape[-1]
    grid = size // finetune.config["patch_size"]
    assert_close(resize_positions(finetune["model/pos_embed"], grid, grid), finetune["pos_embed_resized"], atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        logits = classifier(finetune, size)(finetune["images_double"])
    assert_close(logits, finetune["logits_double"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "published"), [("B", "vit_base_patch16"), ("L", "vit_large_patch16"), ("H", "vit_huge_patch14")])
def test_layer_decay(paper, name, published):
    expected = json.loads((FOLDER / "layer_decay.json").read_text())[published]
    figures = paper.recipes.finetune[f"asymmetric-{name}"].optimizer
    assert figures.layer_decay == expected["layer_decay"]
    with torch.device("meta"):
        model = build_classifier(paper.architectures[name], 1000, 224, "average")
    names = {id(parameter): n for n, parameter in model.named_parameters()}
    found = {
        names[id(parameter)]: [group["lr_scale"], group["weight_decay"]]
        for group in parameter_groups(model, figures)
        for parameter in group["params"]
    }
    assert found.keys() == expected["params"].keys()
    for parameter, (scale, decay) in expected["params"].items():
        assert found[parameter] == [pytest.approx(scale, rel=1e-9), decay], parameter
