"""Learning rate by epoch."""

import math

from torch.optim import Optimizer

from dbot.params.recipes import Optimizer as Figures
from dbot.params.recipes import Training


def peak_rate(figures: Figures, batch_size: int) -> float:
    """The peak learning rate for a batch."""
    scale = 1.0 if figures.learning_rate_per is None else batch_size / figures.learning_rate_per
    return figures.learning_rate * scale


def rate_at(epoch: float, recipe: Training) -> float:
    """Learning rate at a (fractional) epoch of a stage or a fine-tuning.

    Linear over the warm-up, then as the schedule says down to the minimum. Every stage of
    distillation has the whole of it. Steps and polynomials fall during the warm-up too, as in the
    published dense recipes; the warm-up is a factor on them.
    """
    peak, least = peak_rate(recipe.optimizer, recipe.batch_size), recipe.optimizer.minimum_learning_rate
    schedule = recipe.optimizer.schedule
    warming = epoch / recipe.warmup_epochs if epoch < recipe.warmup_epochs else 1.0
    warmed = schedule.warmup_from + (1 - schedule.warmup_from) * warming
    if schedule.kind == "steps":
        passed = sum(epoch >= milestone for milestone in schedule.milestones)
        return peak * warmed * math.pow(schedule.factor, passed)
    if schedule.kind == "polynomial":
        return warmed * (least + (peak - least) * math.pow(1 - epoch / recipe.epochs, schedule.power))
    if warming < 1:
        return peak * warmed
    done = (epoch - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    return least + (peak - least) * 0.5 * (1 + math.cos(math.pi * done))


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group the rate times its own scale (layer decay)."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
