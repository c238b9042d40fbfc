"""A linear probe: multinomial logistic regression on standardised features, solved to the end.

The solver is SciPy's L-BFGS-B on the full batch, as in scikit-learn; loss and gradient come from
torch, on any device, every process with its share of the rows. So ImageNet's 1.28 million features
of width 768 are 4 GB on one GPU, or on several together, and an evaluation is two matrix products.
They are float64: in float32 the rounding of the loss ends the line search of small sets too early,
and the GPUs of data centres multiply both at one rate. A solver needs no learning rate; the one
figure to choose is the strength of the penalty, and it is chosen on images held out of train.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from dbot.base.errors import UserError
from dbot.data.labelled import Numbers, evenly
from dbot.measure.knn import LabelledFeatures
from dbot.params.probes import Linear
from dbot.train.distributed import Processes

ROWS = 32768
"""Rows whose logits are computed at once: 262 MB for 1,000 classes."""

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Standardisation:
    """Makes every feature's mean 0 and its (biased) standard deviation 1 over the rows that it was made from."""

    mean_D: Tensor
    scale_D: Tensor

    @classmethod
    def of(cls, mine_ND: Tensor, total: int, processes: Processes) -> "Standardisation":
        """That of ``total`` rows, of which this process holds some. A feature that is constant up to rounding is not scaled."""
        mean_D = processes.sum(mine_ND.sum(dim=0, dtype=torch.float64)) / total
        variance_D = processes.sum((mine_ND - mean_D.float()).square().sum(dim=0, dtype=torch.float64)) / total
        std_D = variance_D.sqrt()
        return cls(mean_D.float(), torch.where(std_D > 1e-6 * mean_D.abs(), std_D, 1.0).float())

    def __call__(self, rows_ND: Tensor) -> Tensor:
        return (rows_ND - self.mean_D) / self.scale_D


@dataclass(frozen=True)
class LinearClassifier:
    """Standardised features to logits."""

    standardise: Standardisation
    weight_CD: Tensor
    bias_C: Tensor
    """Both float64."""
    converged: bool
    """False: the solver stopped before its tolerance was met."""


@dataclass(frozen=True)
class LinearResult:
    """What the linear probe found."""

    top1: float
    """Accuracy on validation, in percent."""
    strength: float
    """The chosen one."""
    held_out: dict[float, float]
    """By strength, the accuracy on the held-out training images, in percent."""
    converged: bool
    """Whether the last fit was solved to the tolerance."""


def linear_probe(train: LabelledFeatures, validation: LabelledFeatures, classes: int, config: Linear, processes: Processes) -> LinearResult:
    """Choose the strength on held-out training images, fit all of train with it, and measure on validation.

    Of strengths that do equally well, the largest is taken. Called by every process with the same
    features; each gets the result.

    Raises:
        UserError: no training image is held out.
    """
    fitted, held = split(train.labels_N.numpy(), config)
    held_out, start = dict[float, float](), None
    for strength in sorted(config.strengths, reverse=True):
        start = fit(train, fitted, classes, strength, config, processes, start)
        held_out[strength] = accuracy(start, train, held, processes)
    chosen = max(held_out, key=lambda strength: (held_out[strength], strength))
    final = fit(train, np.arange(len(train)), classes, chosen, config, processes)
    top1 = accuracy(final, validation, np.arange(len(validation)), processes)
    return LinearResult(top1, chosen, held_out, final.converged)


def split(labels: Numbers, config: Linear) -> tuple[Numbers, Numbers]:
    """Numbers of the training images that are fitted, and of those held out: the same share of every class."""
    fitted = evenly(labels, 1 - config.holdout, config.seed)
    held = np.setdiff1d(np.arange(len(labels)), fitted)
    if not len(held):
        raise UserError(f"probes.linear.holdout is {config.holdout}: no class has enough training images to hold one out; raise it")
    return fitted, held


def fit(
    features: LabelledFeatures,
    numbers: Numbers,
    classes: int,
    strength: float,
    config: Linear,
    processes: Processes,
    start: LinearClassifier | None = None,
) -> LinearClassifier:
    """The classifier with the least mean cross-entropy + strength / 2 * |weight|²; its bias is free.

    It is scikit-learn's LogisticRegression with C = 1 / (strength * rows) on standardised features.

    Args:
        features: of a labelled set.
        numbers: the rows that count.
        classes: how many there are.
        strength: of the penalty.
        config: of the solver.
        processes: each takes its share of the rows.
        start: where the solver begins; None: at zeros.
    """
    total, width = len(numbers), features.values_ND.shape[1]
    rows_ND, labels_N = _share(features, numbers, processes)
    standardise = Standardisation.of(rows_ND, total, processes)
    rows_ND = standardise(rows_ND)

    def objective(flat: Vector) -> tuple[float, Vector]:
        weight, bias = _unflatten(flat, classes, width)
        weight_CD, bias_C = (torch.from_numpy(part).to(rows_ND.device) for part in (weight, bias))
        sums = processes.sum(_sums(rows_ND, labels_N, weight_CD, bias_C)).cpu().numpy() / total
        gradient = sums[1:]
        gradient[: weight.size] += strength * weight.ravel()
        return sums[0] + strength / 2 * float((weight**2).sum()), gradient

    begin = np.zeros(classes * (width + 1)) if start is None else _flatten(start)
    options = {"gtol": config.tolerance, "ftol": 0.0, "maxiter": config.iterations, "maxfun": 20 * config.iterations, "maxls": 50}
    solved = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    weight, bias = (torch.from_numpy(part).to(rows_ND.device) for part in _unflatten(solved.x, classes, width))
    return LinearClassifier(standardise, weight, bias, bool(np.abs(solved.jac).max() <= config.tolerance))


def accuracy(classifier: LinearClassifier, features: LabelledFeatures, numbers: Numbers, processes: Processes) -> float:
    """Top-1 accuracy in percent on some rows of a labelled set."""
    rows_ND, labels_N = _share(features, numbers, processes)
    right = torch.zeros((), dtype=torch.float64, device=processes.device)
    for part_ND, wanted_N in _parts(rows_ND, labels_N):
        logits_NC = functional.linear(classifier.standardise(part_ND).double(), classifier.weight_CD, classifier.bias_C)
        right += (logits_NC.argmax(dim=1) == wanted_N).sum()
    return 100 * float(processes.sum(right)) / len(numbers)


def _share(features: LabelledFeatures, numbers: Numbers, processes: Processes) -> tuple[Tensor, Tensor]:
    """This process's part of some rows, on its device."""
    mine = torch.from_numpy(numbers[processes.rank :: processes.world])
    return features.values_ND[mine].to(processes.device), features.labels_N[mine].to(processes.device)


def _sums(rows_ND: Tensor, labels_N: Tensor, weight_CD: Tensor, bias_C: Tensor) -> Tensor:
    """Cross-entropy and its gradient with respect to weight and bias, summed over the rows: one vector."""
    loss, by_weight_CD, by_bias_C = weight_CD.new_zeros(1), torch.zeros_like(weight_CD), torch.zeros_like(bias_C)
    for part_ND, wanted_N in _parts(rows_ND, labels_N):
        wide_ND = part_ND.double()
        log_NC = functional.linear(wide_ND, weight_CD, bias_C).log_softmax(dim=1)
        chosen_N1 = wanted_N.unsqueeze(1)
        loss -= log_NC.gather(1, chosen_N1).sum()
        excess_NC = log_NC.exp_().scatter_add_(1, chosen_N1, -torch.ones_like(chosen_N1, dtype=torch.float64))
        by_weight_CD += excess_NC.T @ wide_ND
        by_bias_C += excess_NC.sum(dim=0)
    return torch.cat([loss, by_weight_CD.flatten(), by_bias_C])


def _parts(rows_ND: Tensor, labels_N: Tensor) -> Sequence[tuple[Tensor, Tensor]]:
    return list(zip(rows_ND.split(ROWS), labels_N.split(ROWS), strict=True))


def _flatten(classifier: LinearClassifier) -> Vector:
    return torch.cat([classifier.weight_CD.flatten(), classifier.bias_C]).cpu().numpy()


def _unflatten(flat: Vector, classes: int, width: int) -> tuple[Vector, Vector]:
    return flat[: classes * width].reshape(classes, width), flat[classes * width :]
