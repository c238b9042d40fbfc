"""The published dense networks at their real size: they are built, counted, and take a step, on images that a CPU can bear."""

import pytest
import torch
from torch import nn

from dbot.data.transforms import normalise
from dbot.params.load import load
from dbot.tasks.detect import begin_detector
from dbot.tasks.segment import begin_segmenter, pixel_loss
from tests.conftest import PROJECT

COCO, ADE20K = 80, 150
PARAMETERS = {
    ("detect", "asymmetric-B"): 154.8,
    ("detect", "asymmetric-L"): 379.2,
    ("segment", "asymmetric-B"): 163.9,
    ("segment", "asymmetric-L"): 441.5,
}
"""Millions, by kind and recipe; README and docs state them."""


def millions(model: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1)


def step(model: nn.Module, loss: torch.Tensor) -> None:
    loss.backward()
    assert torch.isfinite(loss)
    lacking = [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert not lacking, lacking
    torch.optim.SGD(model.parameters(), lr=1e-6).step()


@pytest.mark.slow
@pytest.mark.parametrize("size", ["B", "L"])
def test_a_full_size_detector_takes_a_step(size: str) -> None:
    params = load(PROJECT / "params.yaml", "paper").params
    recipe = params.recipes.detect[f"asymmetric-{size}"]
    detector = begin_detector(params.architectures[size], recipe, COCO, 0, None, "none").train()
    assert millions(detector) == PARAMETERS["detect", f"asymmetric-{size}"]
    images = [normalise(torch.randint(0, 256, (1, 3, 128, 160), dtype=torch.uint8), params.normalisation)[0]]
    mask = torch.zeros(1, 128, 160, dtype=torch.uint8)
    mask[:, 20:90, 30:110] = 1
    target = {"boxes": torch.tensor([[30.0, 20.0, 110.0, 90.0]]), "labels": torch.tensor([3]), "masks": mask}
    step(detector, sum(detector(images, [target]).values()))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["B", "L"])
def test_a_full_size_segmenter_takes_a_step(size: str) -> None:
    params = load(PROJECT / "params.yaml", "paper").params
    recipe = params.recipes.segment[f"asymmetric-{size}"]
    segmenter = begin_segmenter(params.architectures[size], recipe, ADE20K, 0, None, "none").train()
    assert millions(segmenter) == PARAMETERS["segment", f"asymmetric-{size}"]
    images = normalise(torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8), params.normalisation)
    classes = torch.randint(0, ADE20K, (2, 128, 128))
    logits, auxiliary = segmenter(images)
    step(segmenter, pixel_loss(logits, classes) + recipe.auxiliary.weight * pixel_loss(auxiliary, classes))
