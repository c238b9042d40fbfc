"""A linear probe: multinomial logistic regression on standardised features, solved to the end.

The solver is SciPy's L-BFGS-B, scikit-learn's own, on the full batch. Loss and gradient come from
torch, so that it works on any device and on several processes, each with its share of the rows:
ImageNet's 1.28 million features of width 768 are 4 GB, shared out, and one evaluation is two
matrix products a process. There is no learning rate to sweep; the one figure to choose is the strength of the
penalty, and it is chosen on images held out of train.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from dbot.data.labelled import Numbers, evenly
from dbot.errors import UserError
from dbot.params.probes import Linear
from dbot.probe.labelled import LabelledFeatures
from dbot.train.distributed import Processes
from dbot.train.precision import full_precision

ROWS = 65536
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
    """Whether every fit was solved to the tolerance."""


def linear_probe(
    train: LabelledFeatures, validation: LabelledFeatures, classes: int, figures: Linear, processes: Processes
) -> LinearResult:
    """Choose the strength on held-out training images, fit all of train with it, and measure on validation.

    Of strengths that do equally well, the largest is taken. Called by every process with the same
    features; each gets the result.

    Raises:
        UserError: no training image is held out.
    """
    fitted, held = split(train.labels_N.numpy(), figures)
    held_out, start, converged = dict[float, float](), None, True
    for strength in sorted(figures.strengths, reverse=True):
        start = fit(train, fitted, classes, strength, figures, processes, start)
        held_out[strength] = accuracy(start, train, held, processes)
        converged &= start.converged
    chosen = max(held_out, key=lambda strength: (held_out[strength], strength))
    final = fit(train, np.arange(len(train)), classes, chosen, figures, processes)
    top1 = accuracy(final, validation, np.arange(len(validation)), processes)
    return LinearResult(top1, chosen, held_out, converged and final.converged)


def split(labels: Numbers, figures: Linear) -> tuple[Numbers, Numbers]:
    """Numbers of the training images that are fitted, and of those held out: the same share of every class."""
    fitted = evenly(labels, 1 - figures.holdout, figures.seed)
    held = np.setdiff1d(np.arange(len(labels)), fitted)
    if not len(held):
        raise UserError(f"probes.linear.holdout is {figures.holdout}: no class has enough training images to hold one out; raise it")
    return fitted, held


def fit(
    features: LabelledFeatures,
    numbers: Numbers,
    classes: int,
    strength: float,
    figures: Linear,
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
        figures: of the solver.
        processes: each takes its share of the rows.
        start: where the solver begins; None: at zeros.
    """
    total, width = len(numbers), features.values_ND.shape[1]
    rows_ND, labels_N = _share(features, numbers, processes)
    standardise = Standardisation.of(rows_ND, total, processes)
    rows_ND = standardise(rows_ND)

    def objective(flat: Vector) -> tuple[float, Vector]:
        weight, bias = _unflatten(flat, classes, width)
        weight_CD, bias_C = (torch.from_numpy(part).to(rows_ND) for part in (weight, bias))
        sums = processes.sum(_sums(rows_ND, labels_N, weight_CD, bias_C)).cpu().numpy() / total
        gradient = sums[1:]
        gradient[: weight.size] += strength * weight.ravel()
        return sums[0] + strength / 2 * float((weight**2).sum()), gradient

    begin = np.zeros(classes * (width + 1)) if start is None else _flatten(start)
    options = {"gtol": figures.tolerance, "ftol": 0.0, "maxiter": figures.iterations, "maxfun": 20 * figures.iterations, "maxls": 50}
    solved = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    weight, bias = (torch.from_numpy(part).to(rows_ND) for part in _unflatten(solved.x, classes, width))
    return LinearClassifier(standardise, weight, bias, bool(np.abs(solved.jac).max() <= figures.tolerance))


def accuracy(classifier: LinearClassifier, features: LabelledFeatures, numbers: Numbers, processes: Processes) -> float:
    """Top-1 accuracy in percent on some rows of a labelled set."""
    rows_ND, labels_N = _share(features, numbers, processes)
    right = torch.zeros((), dtype=torch.float64, device=processes.device)
    with full_precision():
        for part_ND, wanted_N in _parts(rows_ND, labels_N):
            logits_NC = functional.linear(classifier.standardise(part_ND), classifier.weight_CD, classifier.bias_C)
            right += (logits_NC.argmax(dim=1) == wanted_N).sum()
    return 100 * float(processes.sum(right)) / len(numbers)


def _share(features: LabelledFeatures, numbers: Numbers, processes: Processes) -> tuple[Tensor, Tensor]:
    """This process's part of some rows, on its device."""
    mine = torch.from_numpy(numbers[processes.rank :: processes.world])
    return features.values_ND[mine].to(processes.device), features.labels_N[mine].to(processes.device)


def _sums(rows_ND: Tensor, labels_N: Tensor, weight_CD: Tensor, bias_C: Tensor) -> Tensor:
    """Cross-entropy and its gradient with respect to weight and bias, summed over the rows: one float64 vector."""
    loss = torch.zeros(1, dtype=torch.float64, device=rows_ND.device)
    by_weight_CD, by_bias_C = torch.zeros_like(weight_CD, dtype=torch.float64), torch.zeros_like(bias_C, dtype=torch.float64)
    with full_precision():
        for part_ND, wanted_N in _parts(rows_ND, labels_N):
            log_NC = functional.linear(part_ND, weight_CD, bias_C).log_softmax(dim=1)
            loss -= log_NC.gather(1, wanted_N.unsqueeze(1)).sum(dtype=torch.float64)
            excess_NC = log_NC.exp_()
            excess_NC[torch.arange(len(wanted_N), device=rows_ND.device), wanted_N] -= 1
            by_weight_CD += excess_NC.T @ part_ND
            by_bias_C += excess_NC.sum(dim=0)
    return torch.cat([loss, by_weight_CD.flatten(), by_bias_C])


def _parts(rows_ND: Tensor, labels_N: Tensor) -> Sequence[tuple[Tensor, Tensor]]:
    return list(zip(rows_ND.split(ROWS), labels_N.split(ROWS), strict=True))


def _flatten(classifier: LinearClassifier) -> Vector:
    return torch.cat([classifier.weight_CD.flatten(), classifier.bias_C]).double().cpu().numpy()


def _unflatten(flat: Vector, classes: int, width: int) -> tuple[Vector, Vector]:
    return flat[: classes * width].reshape(classes, width), flat[classes * width :]
