"""The confusion matrix of pixels, and the measures of segmentation that come from it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dbot.data.labelmaps.values import IGNORE
from dbot.train.task import Metrics


def confusion(truth: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Pixels by true and by predicted class, int64 (classes, classes); those whose truth is `IGNORE` are left out.

    Args:
        truth: classes of any integer type and shape.
        predicted: classes, int64 of the same shape.
        classes: number of them.
    """
    labelled = truth != IGNORE
    pairs = truth[labelled].long() * classes + predicted[labelled]
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


@dataclass(frozen=True)
class Scores:
    """Measures over all labelled pixels of a set, in percent."""

    mean_iou: float
    """Mean of the intersections over unions, of the classes in truth or prediction."""
    mean_accuracy: float
    """Mean of the shares of their pixels that were found, of the classes in the truth."""
    accuracy: float
    """Share of the pixels that were found."""
    iou: list[float | None]
    """Intersection over union by class; None: the class is neither in the truth nor in the prediction."""

    @property
    def metrics(self) -> Metrics:
        """As histories and receipts name them."""
        return {"miou": self.mean_iou, "macc": self.mean_accuracy, "aacc": self.accuracy}


def scores(matrix: Tensor) -> Scores:
    """The measures of a confusion matrix with at least one pixel (mmsegmentation's definitions).

    Args:
        matrix: pixels by true class (rows) and predicted class (columns).
    """
    counts = matrix.double()
    hits, true, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    iou, found = 100 * hits / (true + predicted - hits), 100 * hits / true
    return Scores(
        mean_iou=float(iou.nanmean()),
        mean_accuracy=float(found.nanmean()),
        accuracy=float(100 * hits.sum() / counts.sum()),
        iou=[None if value != value else value for value in iou.tolist()],
    )
