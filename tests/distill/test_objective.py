"""The symmetric objective: which tokens count, and what the teacher gives."""

import pytest
import torch

from dbot.distill.objective import SymmetricObjective
from dbot.models.teachers.teacher import Teacher
from dbot.params.recipes import Loss
from tests.train.small import AS_THEY_ARE


class Given(Teacher):
    """Tokens that are a fixed function of the pixels: each patch's mean colour, and a class token if there is one."""

    def __init__(self, has_class_token: bool) -> None:
        super().__init__(16, AS_THEY_ARE)
        self.width, self.grid, self.has_class_token = 3, 4, has_class_token

    def forward(self, pixels):
        patches = torch.nn.functional.avg_pool2d(pixels, pixels.shape[-1] // 4).flatten(2).transpose(1, 2)
        return torch.cat([pixels.mean(dim=(2, 3)).unsqueeze(1), patches], dim=1) if self.has_class_token else patches


class Predicts(torch.nn.Module):
    """A student whose predictions are set."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens = tokens

    def forward(self, images, masked):
        return self.tokens


def objective(paper, has_class_token=True, **changes):
    recipe = paper.recipes.pretrain["symmetric"].model_copy(update={"loss": Loss(kind="l2"), **changes})
    return SymmetricObjective(Given(has_class_token), recipe)


@pytest.fixture
def batch():
    pixels, masked = torch.rand(3, 3, 16, 16), torch.rand(3, 16) < 0.4
    masked[0, 0] = True
    return pixels, masked


@pytest.mark.parametrize("has_class_token", [True, False])
def test_only_masked_tokens_count_each_alike(paper, batch, has_class_token):
    pixels, masked = batch
    right = Given(True)(pixels)
    wrong_where_seen = right.clone()
    wrong_where_seen[:, 1:][~masked] += 7
    wrong_where_seen[:, 0] += 7
    given = objective(paper, has_class_token)
    assert given(Predicts(wrong_where_seen), pixels, masked, pixels) == 0
    wrong_once = right.clone()
    wrong_once[0, 1] += 2
    assert given(Predicts(wrong_once), pixels, masked, pixels).item() == pytest.approx(4 / masked.sum().item())


def test_the_class_token_counts_if_asked(paper, batch):
    pixels, masked = batch
    wrong = Given(True)(pixels)
    wrong[:, 0] += 2
    loss = objective(paper, class_token_in_loss=True)(Predicts(wrong), pixels, masked, pixels)
    assert loss.item() == pytest.approx(4 * 3 / (masked.sum().item() + 3))


def test_a_normalised_target(paper, batch):
    pixels, masked = batch
    target = paper.recipes.pretrain["symmetric"].target.model_copy(update={"normalise": True})
    tokens = Given(True)(pixels)
    normed = (tokens - tokens.mean(-1, keepdim=True)) / (tokens.var(-1, keepdim=True) + 1e-6).sqrt()
    assert objective(paper, target=target)(Predicts(normed), pixels, masked, pixels).item() < 1e-9


def test_the_cosine_forgets_scale(paper, batch):
    pixels, masked = batch
    given = objective(paper, loss=Loss(kind="negative_cosine"))
    right = Given(True)(pixels)
    assert given(Predicts(3 * right), pixels, masked, pixels).item() == pytest.approx(0, abs=1e-6)
    assert given(Predicts(-right), pixels, masked, pixels).item() == pytest.approx(2, abs=1e-6)
