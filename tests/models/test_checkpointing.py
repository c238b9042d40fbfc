"""Computing blocks again backwards changes neither a bit of the gradients nor a name."""

import pytest
import torch

from dbot.distill.boundary import begin_stage
from dbot.models.checkpointing import checkpoint_blocks
from dbot.params.load import load
from tests.conftest import PROJECT
from tests.train.small import ARCHITECTURE, AS_THEY_ARE, RANDOM, recipe_like

PRETRAIN = load(PROJECT / "params.yaml", "demo").params.recipes.pretrain


@pytest.mark.parametrize("name", ["asymmetric-B", "symmetric-B"])
def test_same_bits_and_names_with_drop_path(name):
    def trained(again: bool, shortcuts: bool = False) -> dict[str, torch.Tensor]:
        student, _ = begin_stage(ARCHITECTURE, recipe_like(PRETRAIN[name], drop_path=0.5, shortcuts=shortcuts), 1, RANDOM, AS_THEY_ARE)
        student.train()
        if again:
            checkpoint_blocks(student)
        torch.manual_seed(0)
        images, order = torch.randn(4, 3, 16, 16), torch.rand(4, 16).argsort(1)
        out = student(images, order > 6) if name.startswith("symmetric") else student(images, order[:, :6], order.argsort(1))
        out.square().mean().backward()
        return {key: parameter.grad for key, parameter in student.named_parameters() if parameter.grad is not None}

    plain, again = trained(False), trained(True)
    assert plain.keys() == again.keys()
    assert all(torch.equal(gradient, again[key]) for key, gradient in plain.items())
    shorter = trained(True, shortcuts=True)
    for key, gradient in plain.items():
        torch.testing.assert_close(shorter[key], gradient, msg=key)


def test_less_is_kept():
    """The bytes that autograd keeps for the backward pass."""

    def kept(again: bool) -> int:
        student, _ = begin_stage(ARCHITECTURE, recipe_like(PRETRAIN["symmetric-B"]), 1, RANDOM, AS_THEY_ARE)
        if again:
            checkpoint_blocks(student)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: (sizes.append(tensor.nbytes), tensor)[1], lambda tensor: tensor):
            student(torch.randn(4, 3, 16, 16), torch.rand(4, 16) > 0.4)
        return sum(sizes)

    assert kept(True) < kept(False) / 2
