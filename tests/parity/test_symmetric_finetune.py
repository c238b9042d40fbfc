"""The published fine-tuning network of the symmetric design, and the way to it from pre-training."""

import pytest
import torch
from torch.testing import assert_close

from dbot.models.checkpoint import part
from dbot.models.classifier import load_classifier, load_encoder
from dbot.models.relative import TABLE
from dbot.models.symmetric import Positions, SymmetricViT, build_symmetric_classifier
from dbot.train.optimizer import parameter_groups
from tests.parity.conftest import Figures, figures
from tests.parity.test_symmetric_pretrain import ours


@pytest.fixture(scope="module")
def finetune() -> Figures:
    return figures("symmetric_finetune")


def classifier(finetune: Figures) -> SymmetricViT:
    return build_symmetric_classifier(
        finetune.architecture, Positions(), 0.1, finetune.config["num_classes"], finetune.config["img_size"], "average"
    ).eval()


def published(finetune: Figures) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in finetune.below("model/").items() if not name.endswith("relative_position_index")}


def test_logits(finetune):
    model = classifier(finetune)
    load_classifier(model, published(finetune), "the published classifier")
    with torch.no_grad():
        assert_close(model(finetune["images"]), finetune["logits"], atol=1e-5, rtol=1e-5)


def test_the_students_encoder_becomes_the_classifier(finetune):
    """Everything but the fresh norm and head is the pre-trained student's, its one table in every block."""
    if "symmetric_pretrain" not in finetune.config.get("made_from", ""):
        pytest.skip("the file doesn't say that it was made from symmetric_pretrain")
    model = classifier(finetune)
    load_encoder(model, part(ours(figures("symmetric_pretrain").below("model/")), "encoder."), "the published student")
    for name, tensor in published(finetune).items():
        if not name.startswith(("fc_norm.", "head.")):
            assert torch.equal(model.state_dict()[name], tensor), name


@pytest.mark.parametrize(("size", "decay"), [("B", 0.65), ("L", 0.8), ("H", 0.85), ("H448", 0.95)])
def test_layer_decay(paper, size, decay):
    """Embeddings decay^(depth + 1), block i decay^(depth - i), norm and head 1; tables of biases are decayed, positions not."""
    figures, architecture = paper.recipes.finetune[f"symmetric-{size}"].optimizer, paper.architectures[size[0]]
    assert figures.layer_decay == decay
    with torch.device("meta"):
        model = build_symmetric_classifier(architecture, Positions(absolute=True), 0.1, 10, 224, "average")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        names[id(p)]: (group["lr_scale"], group["weight_decay"]) for group in parameter_groups(model, figures) for p in group["params"]
    }
    assert set(found) == set(names.values())
    for name, (scale, weight_decay) in found.items():
        block = (
            int(name.split(".")[1]) if name.startswith("blocks.") else -1 if "embed" in name or name == "cls_token" else architecture.depth
        )
        assert scale == pytest.approx(decay ** (architecture.depth - block)), name
        whole = name.endswith((".weight", TABLE)) and "norm" not in name
        assert weight_decay == (0.05 if whole else 0.0), name
