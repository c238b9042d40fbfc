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

    Linear from 0 over the warm-up, then half a cosine down to the minimum at the last epoch.
    Every stage of distillation has the whole of it.
    """
    peak, least = peak_rate(recipe.optimizer, recipe.batch_size), recipe.optimizer.minimum_learning_rate
    if epoch < recipe.warmup_epochs:
        return peak * epoch / recipe.warmup_epochs
    done = (epoch - recipe.warmup_epochs) / (recipe.epochs - recipe.warmup_epochs)
    return least + (peak - least) * 0.5 * (1 + math.cos(math.pi * done))


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group the rate times its own scale (layer decay)."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
