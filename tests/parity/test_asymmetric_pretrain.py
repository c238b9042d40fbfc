"""One pre-training step of the published code, reproduced."""

import pytest
import torch
from torch.testing import assert_close

from dbot.distill.loss import scored_mean, token_distance, with_class_token
from dbot.distill.masking import random_mask
from dbot.distill.objective import AsymmetricObjective
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.encoder import build_encoder, encode_visible
from dbot.models.positions import sincos_positions
from dbot.models.teachers.encoder import EncoderTeacher
from dbot.params.recipes import Optimizer
from dbot.train.optimizer import build_optimizer
from dbot.train.schedule import peak_rate, set_rate
from tests.train.small import AS_THEY_ARE

RATIO = 0.75
PUBLISHED_DECODER = {
    "decoder_pos_embed": "decoder.pos_embed",
    "mask_token": "decoder.mask_token",
    "decoder_embed": "decoder.embed",
    "decoder_blocks": "decoder.blocks",
    "decoder_norm": "decoder.norm",
    "decoder_predp": "decoder.predict",
}


def ours(name: str) -> str:
    """Our name of a published student's tensor."""
    head, _, rest = name.partition(".")
    found = PUBLISHED_DECODER.get(head, f"encoder.{head}")
    return f"{found}.{rest}" if rest else found


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {ours(name): tensor for name, tensor in weights.items()}


def weights_before_step(pretrain, figures: Optimizer, rate: float) -> dict[str, torch.Tensor]:
    """The student's weights that the other figures were computed with.

    In the file beside this test ``student/`` was written after the optimizer step: it equals
    ``after_step/`` to the bit. The first AdamW step is known in closed form from the recorded
    gradient, so it is undone. A file whose ``student/`` differs is taken as it is.
    """
    before, after = pretrain.below("student/"), pretrain.below("after_step/")
    if any(not torch.equal(before[name], after[name]) for name in before):
        return before
    clip = min(1.0, figures.clip_grad / (float(pretrain["grad_norm"]) + 1e-6))
    for name, gradient in pretrain.below("grad/").items():
        step = rate * (clip * gradient.double()) / ((clip * gradient.double()).abs() + figures.eps)
        decay = 0.0 if gradient.ndim <= 1 else rate * figures.weight_decay
        before[name] = ((after[name].double() + step) / (1 - decay)).float()
    return before


@pytest.fixture
def student(pretrain, recipe) -> AsymmetricStudent:
    model = AsymmetricStudent(pretrain.architecture, pretrain.decoder, pretrain["target_no_norm"].shape[-1])
    weights = weights_before_step(pretrain, recipe.optimizer, peak_rate(recipe.optimizer, recipe.batch_size))
    model.load_state_dict(renamed(weights))
    return model


def teacher(pretrain, final_norm: bool) -> EncoderTeacher:
    encoder = build_encoder(pretrain.architecture)
    encoder.load_state_dict(pretrain.below("teacher/"))
    return EncoderTeacher(encoder, final_norm, AS_THEY_ARE)  # the recorded images are normalised


def test_positions(pretrain):
    grid = pretrain.architecture.grid
    assert_close(sincos_positions(pretrain.architecture.width, grid), pretrain["student/pos_embed"], atol=1e-6, rtol=0)
    assert_close(sincos_positions(pretrain.decoder.width, grid), pretrain["student/decoder_pos_embed"], atol=1e-6, rtol=0)


def test_mask(pretrain):
    mask = random_mask(pretrain["noise"], RATIO)
    assert torch.equal(mask.restore_BN, pretrain["ids_restore"])
    assert torch.equal(with_class_token(mask.masked_BN, True), pretrain["mask"])


def test_latent_and_prediction(pretrain, student):
    mask = random_mask(pretrain["noise"], RATIO)
    with torch.no_grad():
        assert_close(encode_visible(student.encoder, pretrain["images"], mask.keep_BK), pretrain["latent"], atol=1e-5, rtol=1e-5)
        assert_close(student(pretrain["images"], mask.keep_BK, mask.restore_BN), pretrain["pred"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("final_norm", "name"), [(False, "target_no_norm"), (True, "target_layer_norm")])
def test_teacher(pretrain, final_norm, name):
    assert_close(teacher(pretrain, final_norm)(pretrain["images"]), pretrain[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("normalise", "name"), [(False, "loss_raw_target"), (True, "loss_normalised_target")])
def test_loss(pretrain, student, recipe, normalise, name):
    target = recipe.target.model_copy(update={"normalise": normalise})
    objective = AsymmetricObjective(teacher(pretrain, False), recipe.model_copy(update={"target": target}))
    with torch.no_grad():
        loss = objective(student, pretrain["images"], pretrain["noise"], pretrain["images"])
    assert_close(loss, pretrain[name].squeeze(), atol=1e-6, rtol=1e-6)


def test_gradients_and_step(pretrain, student, recipe):
    """Every gradient, the clipped norm, and the weights after one AdamW step."""
    objective = AsymmetricObjective(teacher(pretrain, False), recipe)
    objective(student, pretrain["images"], pretrain["noise"], pretrain["images"]).backward()
    gradients = renamed(pretrain.below("grad/"))
    parameters = dict(student.named_parameters())
    assert {name for name, p in parameters.items() if p.grad is not None} == set(gradients)
    for name, gradient in gradients.items():
        scale = gradient.abs().max().clamp(min=1e-6)
        assert_close(parameters[name].grad / scale, gradient / scale, atol=1e-5, rtol=0, msg=lambda text, n=name: f"{n}: {text}")

    optimizer = build_optimizer(student, recipe.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(student.parameters(), recipe.optimizer.clip_grad)
    assert_close(norm, pretrain["grad_norm"].squeeze(), atol=1e-6, rtol=1e-5)
    set_rate(optimizer, peak_rate(recipe.optimizer, recipe.batch_size))
    optimizer.step()
    for name, after in renamed(pretrain.below("after_step/")).items():
        # Adam's first step is the sign of the gradient; where that is noise, so is the sign.
        gradient = gradients.get(name)
        settled = torch.ones_like(after, dtype=torch.bool) if gradient is None else gradient.abs() > 1e-6
        assert_close(student.state_dict()[name][settled], after[settled], atol=2e-6, rtol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


def test_distances_at_the_turn_of_smooth_l1(recipe):
    differences = torch.tensor([0.5, 1.0, 2.0, 3.0]).reshape(4, 1, 1)
    found = token_distance(differences, torch.zeros_like(differences), recipe.loss).flatten()
    assert found.tolist() == [0.0625, 0.25, 1.0, 2.0]
    assert scored_mean(found.reshape(1, 4), torch.tensor([[1.0, 0, 0, 1]])).item() == pytest.approx(1.03125)
