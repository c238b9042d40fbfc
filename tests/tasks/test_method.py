"""One image through student and teacher: the loss by token is that of a training step, and nothing is touched."""

import pytest
import torch

from dbot.data.transforms import in_unit_range, normalise
from dbot.distill.boundary import begin_stage
from dbot.distill.objective import AsymmetricObjective, SymmetricObjective
from dbot.tasks.method import one_image
from tests.train.small import ARCHITECTURE, RANDOM, recipe_like

CPU = torch.device("cpu")


@pytest.fixture(params=["asymmetric-B", "symmetric-B"])
def recipe(demo, request):
    return recipe_like(demo.recipes.pretrain[request.param])


def test_the_mean_over_hidden_tokens_is_the_loss_of_a_step(recipe, manifest, demo):
    without_class_token = recipe.model_copy(update={"class_token_in_loss": False, "precision": "fp32"})
    student, teacher = begin_stage(ARCHITECTURE, without_class_token, 1, RANDOM, demo.normalisation)
    found = one_image(student, teacher, without_class_token, manifest, demo.normalisation, CPU)
    crops = found.pixels.unsqueeze(0)
    images, pixels = normalise(crops, demo.normalisation), in_unit_range(crops)
    with torch.no_grad():
        if recipe.design == "asymmetric":
            # The mask of what is hidden: noise that puts exactly these patches last.
            loss = AsymmetricObjective(teacher, without_class_token)(student, images, found.hidden_N.float().unsqueeze(0), pixels)
        else:
            loss = SymmetricObjective(teacher, without_class_token)(student, images, found.hidden_N.unsqueeze(0), pixels)
    assert found.loss_N[found.hidden_N].mean().item() == pytest.approx(loss.item(), rel=1e-5)
    assert found.hidden_N.shape == (16,)
    assert 0 < found.hidden_N.sum() < 16


def test_nothing_is_drawn_from_a_random_state_and_no_weight_moves(recipe, manifest, demo):
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM, demo.normalisation)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    state = torch.get_rng_state()
    first, second = (one_image(student, teacher, recipe, manifest, demo.normalisation, CPU) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
    for name in ("pixels", "hidden_N", "target_ND", "prediction_ND", "loss_N"):
        assert torch.equal(getattr(first, name), getattr(second, name))
