"""One step of a task on one batch, again and again: the pieces of `dbot.train.loop`, without its data, states and lines."""

from typing import Any

import torch
from torch import Tensor

from dbot.base.seeds import seed_step
from dbot.train.batches import lay_out
from dbot.train.loading import on_device
from dbot.train.loop import Meter, _update
from dbot.train.optimizer import build_optimizer
from dbot.train.precision import autocast_type
from dbot.train.schedule import set_rate
from dbot.train.task import Step, Task


class OneStep:
    """Forward, backward and optimizer on a batch that stays.

    Args:
        task: what is trained; its images are not asked for.
        batch: as its data set gives it, collated.
        images: how many there are in it.
        device: where.
        rate: learning rate. 0: all is computed, and no weight moves.
    """

    def __init__(self, task: Task, batch: Any, images: int, device: torch.device, rate: float) -> None:
        recipe = task.recipe
        self.task, self.device, self.rate = task, device, rate
        self.model = task.model.to(device).train()
        self.batch = on_device(batch, device)
        self.layout = lay_out(images, images, 1, 0)
        self.optimizer = build_optimizer(self.model, recipe.optimizer, task.groups, fused=recipe.shortcuts)
        self.autocast = autocast_type(recipe.precision)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.autocast is torch.float16)
        self.meter = Meter.new(device)

    def __call__(self, number: int) -> None:
        """The whole step."""
        loss = self.forward(number)
        self.backward(loss)
        self.update(number)

    def forward(self, number: int) -> Tensor:
        """The loss; the draws are those of this number."""
        set_rate(self.optimizer, self.rate)
        seed_step(self.task.seed, "step", number)
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return self.task.loss(self.model, self.batch, Step(number, 0, self.layout))

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def update(self, number: int) -> None:
        """Clip the gradients and move the weights."""
        recipe = self.task.recipe
        _update(self.optimizer, self.scaler, self.model, recipe.optimizer.clip_grad, recipe.non_finite, self.meter, number)
