"""What a GPU alone can show of training: the CPU's numbers, its compiler's, no wait in a step, and the same bits again.

They use nothing of conftest.py: where a GPU is lent for minutes, `benchmarks.gpu` runs them without.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dbot.base.seeds import seed_step
from dbot.distill.boundary import begin_stage
from dbot.distill.objective import AsymmetricObjective, SymmetricObjective
from dbot.models.teachers.teacher import Teacher
from dbot.params.load import DEFAULT_FILE, load
from dbot.params.recipes import Decoder
from dbot.params.teachers import Architecture
from dbot.train.determinism import determinism
from dbot.train.optimizer import build_optimizer
from tests.train.small import AS_THEY_ARE, RANDOM, recipe_like

pytestmark = pytest.mark.gpu

DEVICE, CPU = torch.device("cuda", 0), torch.device("cpu")
WIDER = Architecture(title="small", image_size=32, patch_size=4, width=64, depth=3, heads=2, mlp_ratio=4)
"""Heads of 32 features, as the fused kernels of attention take them."""
OBJECTIVES = {"asymmetric-B": AsymmetricObjective, "symmetric": SymmetricObjective}
IMAGES = 8
Loss = Callable[[nn.Module], Tensor]


def distillation(design: str, device: torch.device, **changes: object) -> tuple[nn.Module, Teacher, Loss]:
    """A student, its teacher, and the loss of a batch of noise that is the same everywhere."""
    recipe = recipe_like(load(DEFAULT_FILE, "demo").params.recipes.pretrain[design], **{"drop_path": 0.0, **changes})
    if design == "asymmetric-B":
        recipe = recipe.model_copy(update={"decoder": Decoder(width=64, depth=2, heads=2)})
    student, teacher = begin_stage(WIDER, recipe, 1, RANDOM, AS_THEY_ARE)
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(IMAGES, 3, 32, 32, generator=draws).to(device)
    noise = torch.rand(IMAGES, student.encoder.patch_embed.num_patches, generator=draws).to(device)
    objective = OBJECTIVES[design](teacher.to(device), recipe)

    def loss(model: nn.Module) -> Tensor:
        return objective(model, images, noise if design == "asymmetric-B" else noise < 0.4, images)

    return student.to(device).train(), teacher, loss


def gradients(model: nn.Module, loss: Loss) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    found = loss(model)
    found.backward()
    return found.detach().cpu(), {name: part.grad.cpu() for name, part in model.named_parameters() if part.grad is not None}


@pytest.mark.parametrize("design", OBJECTIVES)
def test_loss_and_gradients_are_those_of_the_cpu(design: str) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    ours, cpus = (gradients(*distillation(design, device)[::2]) for device in (DEVICE, CPU))
    torch.testing.assert_close(ours[0], cpus[0], rtol=1e-4, atol=1e-5)
    assert ours[1].keys() == cpus[1].keys()
    for name, gradient in cpus[1].items():
        assert (ours[1][name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-6, name


@pytest.mark.parametrize("design", OBJECTIVES)
def test_compiled_networks_compute_what_the_plain_ones_do(design: str) -> None:
    model, teacher, loss = distillation(design, DEVICE)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        plain = gradients(model, loss)
        model.compile()
        teacher.compile()
        compiled = gradients(model, loss)
    torch.testing.assert_close(compiled[0], plain[0], rtol=2e-2, atol=1e-3)
    for name, gradient in plain[1].items():
        assert (compiled[1][name] - gradient).norm() <= 0.1 * gradient.norm() + 1e-6, name


@pytest.mark.parametrize("design", OBJECTIVES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_teacher_that_holds_its_weights_in_autocasts_type_gives_the_same_bits(design: str, dtype: torch.dtype) -> None:
    _, teacher, _ = distillation(design, DEVICE)
    pixels = torch.rand(IMAGES, 3, 32, 32, device=DEVICE)
    with torch.autocast("cuda", dtype=dtype):
        before = teacher(pixels)
        teacher.hold_weights_in(dtype)
        assert torch.equal(teacher(pixels), before)


@pytest.mark.parametrize("design", OBJECTIVES)
def test_the_host_waits_nowhere_in_a_step(design: str) -> None:
    model, _, loss = distillation(design, DEVICE, drop_path=0.2)
    optimizer = build_optimizer(model, load(DEFAULT_FILE, "demo").params.recipes.pretrain[design].optimizer)

    def step() -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss(model).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step()  # numbers that stay on the device are sent there once
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("design", OBJECTIVES)
def test_deterministic_steps_give_the_same_bits_again(design: str) -> None:
    def trained() -> dict[str, Tensor]:
        model, _, loss = distillation(design, DEVICE, drop_path=0.2)
        optimizer = build_optimizer(model, load(DEFAULT_FILE, "demo").params.recipes.pretrain[design].optimizer)
        for number in range(3):
            seed_step(0, "step", number)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss(model).backward()
            optimizer.step()
            optimizer.zero_grad()
        return model.state_dict()

    with determinism(True, DEVICE):
        first, second = trained(), trained()
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []
