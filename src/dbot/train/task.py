"""What the loop is told about a training: the only thing that differs between tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.data import Dataset

from dbot.params.recipes import Training
from dbot.train.batches import BatchLayout

Metrics = dict[str, float]


@dataclass(frozen=True)
class Step:
    """Where in the training a forward pass is."""

    number: int
    """Optimizer steps before this one."""
    pass_number: int
    """Forward passes of this step before this one."""
    layout: BatchLayout


def the_whole(model: nn.Module) -> Sequence[nn.Module]:
    """What most trainings compile: the model as the loop has wrapped it."""
    return [model]


@dataclass(frozen=True)
class Task:
    """A training: data, loss, evaluation, and the figures of its recipe."""

    title: str
    """What a progress line calls it."""
    recipe: Training
    model: nn.Module
    """What is trained and saved."""
    images: Dataset[Any]
    """Asked for (epoch, image) pairs, it gives what is collated to a batch."""
    loss: Callable[[nn.Module, Any, Step], Tensor]
    """Scalar loss of (the wrapped model, a batch on the device, the step)."""
    seed: int
    """Decides the order of the images and every draw of the loop."""
    evaluate: Callable[[nn.Module], Metrics] | None = None
    """Metrics of the bare model after an epoch."""
    evaluate_every: int = 1
    """After every so many epochs, and always after the last."""
    best: str | None = None
    """The metric whose highest value makes a checkpoint the best."""
    collate: Callable[[list[Any]], Any] | None = None
    """Makes a batch of what the data set gives; None: tensors of one shape are stacked. Batches may nest lists, tuples and dicts."""
    groups: list[dict[str, Any]] | None = None
    """The optimizer's parameter groups, with `weight_decay` and `lr_scale`; None: those of a timm ViT."""
    companion: nn.Module | None = None
    """A network that changes with the model, without gradients; the state holds it too."""
    after_step: Callable[[], None] | None = None
    """Called after every step that was taken: moves the companion."""
    compiled: Callable[[nn.Module], Sequence[nn.Module]] = the_whole
    """What is compiled where the recipe says so and the device is a GPU: for the wrapped model, it, parts of it, or what else the loss
    runs."""
    moments: dict[str, Tensor] | None = None
    """AdamW's state to begin with, where a stage keeps that of the one before."""
