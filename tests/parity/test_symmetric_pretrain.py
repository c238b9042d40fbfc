"""The published symmetric student: outputs, losses, gradients."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dbot.distill.objective import SymmetricObjective
from dbot.models.symmetric import Positions, SymmetricStudent
from dbot.models.teachers.teacher import Teacher
from dbot.params.recipes import Loss
from tests.parity.conftest import FOLDER, Figures, figures
from tests.train.small import AS_THEY_ARE

LOSSES = {
    "loss_negcosine": Loss(kind="negative_cosine"),
    "loss_l1": Loss(kind="l1"),
    "loss_l2": Loss(kind="l2"),
    "loss_smooth_l1_beta2": Loss(kind="smooth_l1", beta=2.0),
}


@pytest.fixture(scope="module")
def pretrain() -> Figures:
    return figures("symmetric_pretrain")


def ours(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A published student's weights with our names. The index of distances is computed, not stored."""
    heads = {"lm_head": "predict", "mask_token": "mask_token"}
    renamed = {}
    for name, tensor in weights.items():
        head, _, rest = name.partition(".")
        if not name.endswith("relative_position_index"):
            renamed[f"{heads[head]}.{rest}".rstrip(".") if head in heads else f"encoder.{name}"] = tensor
    return renamed


@pytest.fixture
def student(pretrain) -> SymmetricStudent:
    weights = ours(pretrain.below("model/"))
    model = SymmetricStudent(
        pretrain.architecture, Positions.of(weights), pretrain.config["layer_scale_init"], pretrain.config["target_dim"]
    )
    model.load_state_dict(weights)
    return model


class Fixed(Teacher):
    """Gives the recorded target, which has no class token."""

    has_class_token = False

    def __init__(self, target: torch.Tensor) -> None:
        super().__init__(1, AS_THEY_ARE)
        self.target = target

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.target


def loss_of(student: nn.Module, pretrain: Figures, recipe, loss: Loss) -> torch.Tensor:
    objective = SymmetricObjective(Fixed(pretrain["target"]), recipe.model_copy(update={"loss": loss}))
    return objective(student, pretrain["images"], pretrain["mask"], pretrain["images"])


def test_outputs(pretrain, student):
    with torch.no_grad():
        found = student(pretrain["images"], pretrain["mask"])[:, 1:]
    assert_close(found, pretrain["all_output"], atol=1e-5, rtol=1e-5)
    assert_close(found[pretrain["mask"]], pretrain["masked_output"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_loss(pretrain, student, paper, name):
    with torch.no_grad():
        loss = loss_of(student, pretrain, paper.recipes.pretrain["symmetric"], LOSSES[name])
    assert_close(loss, pretrain[name].squeeze(), atol=1e-6, rtol=1e-6)


def test_gradients(pretrain, student, paper):
    loss_of(student, pretrain, paper.recipes.pretrain["symmetric"], LOSSES[pretrain.config["grad_of"]]).backward()
    expected = ours(pretrain.below("grad/"))
    parameters = dict(student.named_parameters())
    assert set(parameters) == set(expected)
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp(min=1e-6)
        assert_close(parameters[name].grad / scale, gradient / scale, atol=1e-5, rtol=0, msg=lambda text, n=name: f"{n}: {text}")


def test_the_released_layout_has_these_names(student):
    """A file laid out as the released ones are holds exactly the weights of a student."""
    file = FOLDER / "official_layout_symmetric_pre.pth"
    if not file.exists():
        pytest.skip(f"{FOLDER} holds no {file.name}")
    weights = ours(torch.load(file, weights_only=True)["model"])
    assert {n: t.shape for n, t in weights.items()} == {n: t.shape for n, t in student.state_dict().items()}
