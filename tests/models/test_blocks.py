"""Shortcuts against the plain path: the same draws, the same loss, the same gradients, up to the order of sums."""

import pytest
import torch
from torch.testing import assert_close

from dbot.distill.boundary import begin_stage
from dbot.distill.objective import AsymmetricObjective, SymmetricObjective
from dbot.models.blocks import kept_samples
from dbot.params.recipes import Decoder
from tests.train.small import ARCHITECTURE, AS_THEY_ARE, RANDOM, recipe_like

OBJECTIVES = {"asymmetric-B": AsymmetricObjective, "symmetric": SymmetricObjective}


def step_of(recipe, design, images):
    """Loss and gradients of one step from the same weights and draws."""
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM, AS_THEY_ARE)
    student.train()
    torch.manual_seed(1)
    hides = torch.rand(len(images) * recipe.masks_per_image, 16)
    loss = OBJECTIVES[design](teacher, recipe)(student, images, hides if design == "asymmetric-B" else hides < 0.4, images)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in student.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("design", OBJECTIVES)
@pytest.mark.parametrize("drop_path", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("masks", "subset"), [(1, False), (2, False), (2, True)])
def test_shortcuts_change_nothing_but_rounding(demo, design, drop_path, masks, subset):
    recipe = recipe_like(demo.recipes.pretrain[design], drop_path=drop_path, masks_per_image=masks, drop_path_subset=subset)
    if design == "asymmetric-B":
        recipe = recipe.model_copy(update={"decoder": Decoder(width=8, depth=2, heads=2)})
    images = torch.rand(5, 3, 16, 16)
    plain, plain_gradients = step_of(recipe.model_copy(update={"shortcuts": False}), design, images)
    loss, gradients = step_of(recipe.model_copy(update={"shortcuts": True}), design, images)
    assert_close(loss, plain, atol=1e-6, rtol=1e-5)
    for name, gradient in plain_gradients.items():
        # None would stop AdamW's decay and moments, zero doesn't.
        assert (gradients[name] is None) == (gradient is None), name
        if gradient is not None:
            scale = gradient.abs().max().clamp(min=1e-6)
            assert_close(gradients[name] / scale, gradient / scale, atol=1e-4, rtol=0, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
def test_scored_tokens_alone_give_the_loss_of_all(demo, class_token, normalise):
    recipe = recipe_like(demo.recipes.pretrain["asymmetric-B"], class_token_in_loss=class_token)
    recipe = recipe.model_copy(update={"target": recipe.target.model_copy(update={"normalise": normalise})})
    images = torch.rand(3, 3, 16, 16)
    plain, _ = step_of(recipe.model_copy(update={"shortcuts": False}), "asymmetric-B", images)
    assert_close(step_of(recipe.model_copy(update={"shortcuts": True}), "asymmetric-B", images)[0], plain, atol=1e-6, rtol=1e-5)


def test_samples_are_kept_by_timms_own_draws():
    from timm.layers import DropPath

    drop_path, tokens = DropPath(0.6).train(), torch.ones(50, 2, 3)
    torch.manual_seed(3)
    theirs = drop_path(tokens)[:, 0, 0]
    torch.manual_seed(3)
    kept, scale = kept_samples(tokens, drop_path)
    assert kept.tolist() == theirs.nonzero().flatten().tolist()
    assert theirs[kept].tolist() == pytest.approx([scale] * len(kept))
    assert kept_samples(tokens, drop_path.eval()) == (None, 1.0)
