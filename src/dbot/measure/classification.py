"""What is measured of a classifier's predictions: accuracy, cross-entropy, and how far its confidence can be believed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dbot.train.distributed import Processes
from dbot.train.task import Metrics

BINS = 15
"""Of confidence, as Guo et al. (arXiv 1706.04599) and most others report."""


def reliability(confidence_N: Tensor, right_N: Tensor, bins: int = BINS) -> Tensor:
    """Images by the confidence of their prediction (Guo et al., arXiv 1706.04599, section 2).

    Bin b of B, from 0 on, holds the confidences in (b / B, (b + 1) / B].

    Args:
        confidence_N: the predicted class's probability, in 0..1.
        right_N: whether the prediction is right.
        bins: of equal width.

    Returns:
        (3, bins), float64: by bin, the number of images, the sum of their confidences, and how many are right.
    """
    numbers_B = torch.arange(bins, device=confidence_N.device)
    in_bin_NB = torch.bucketize(confidence_N.double(), numbers_B[1:].double() / bins).unsqueeze(1) == numbers_B
    return torch.stack([torch.ones_like(confidence_N), confidence_N, right_N]).double() @ in_bin_NB.double()


def expected_calibration_error(reliability_3B: Tensor) -> float:
    """Mean over the images of |accuracy - confidence| of their bin, in percent (Guo et al., equation 3); NaN without images."""
    count_B, confidence_B, right_B = reliability_3B
    return 100 * float((right_B - confidence_B).abs().sum() / count_B.sum())


def reliability_csv(reliability_3B: Tensor) -> str:
    """A line for each bin, with the mean confidence and the accuracy of its images, both in 0..1; they are empty where it has none."""
    bins = reliability_3B.shape[1]
    lines = ["above,up_to,images,confidence,accuracy"]
    for number, (count, confidence, right) in enumerate(reliability_3B.T.tolist()):
        means = f"{confidence / count:.6f},{right / count:.6f}" if count else ","
        lines.append(f"{number / bins:.6f},{(number + 1) / bins:.6f},{count:.0f},{means}")
    return "\n".join(lines) + "\n"


def brier_scores(probabilities_NC: Tensor, labels_N: Tensor) -> Tensor:
    """The squared distance of the predicted probabilities from the truth's, summed over all classes: (N,), each in 0..2.

    Their mean is the score as Brier (Monthly Weather Review 78, 1950) defines it; others halve it for two classes.
    """
    of_truth_N = probabilities_NC.gather(1, labels_N.unsqueeze(1)).squeeze(1)
    return probabilities_NC.square().sum(dim=1) - 2 * of_truth_N + 1


@dataclass(frozen=True)
class Scores:
    """What was measured of a classifier on some images."""

    images: int
    top1: float
    """Share of the images whose highest logit is their class's, in percent."""
    top5: float
    """Share of those whose class is among the five highest, in percent."""
    loss: float
    """Mean cross-entropy, in nats."""
    brier: float
    """Mean Brier score, in 0..2."""
    reliability_3B: Tensor
    """As `reliability` gives it; on the CPU."""

    @property
    def ece(self) -> float:
        """Expected calibration error over `BINS` bins, in percent."""
        return expected_calibration_error(self.reliability_3B)

    @property
    def accuracy(self) -> Metrics:
        """What a history of training says."""
        return {"top1": self.top1, "top5": self.top5, "validation_loss": self.loss}

    @property
    def metrics(self) -> Metrics:
        """All of it, as receipts name it."""
        return {**self.accuracy, "ece": self.ece, "brier": self.brier}


class Tally:
    """Sums over the images that were classified so far, from which the scores come."""

    def __init__(self, device: torch.device, bins: int = BINS) -> None:
        # Images, right ones, right ones among five, cross-entropy, Brier scores; then the bins.
        self.sums = torch.zeros(5 + 3 * bins, dtype=torch.float64, device=device)
        self.bins = bins

    def add(self, logits_NC: Tensor, labels_N: Tensor) -> None:
        """Count some images.

        Args:
            logits_NC: float32.
            labels_N: their classes, int64.
        """
        ranked_NK = logits_NC.topk(min(5, logits_NC.shape[1]), dim=1).indices == labels_N.unsqueeze(1)
        right_N = ranked_NK[:, 0]
        entropy = functional.cross_entropy(logits_NC, labels_N, reduction="sum")
        probabilities_NC = logits_NC.double().softmax(dim=1)
        brier = brier_scores(probabilities_NC, labels_N).sum()
        self.sums[0] += len(labels_N)
        self.sums[1:5] += torch.stack([value.double() for value in (right_N.sum(), ranked_NK.sum(), entropy, brier)])
        self.sums[5:] += reliability(probabilities_NC.amax(dim=1), right_N, self.bins).flatten()

    def scores(self, processes: Processes) -> Scores:
        """The scores of all processes' images, on each of them; NaN where there is no image."""
        count, right, among_five, entropy, brier, *binned = processes.sum(self.sums.clone()).tolist()
        images = count or math.nan
        return Scores(
            images=int(count),
            top1=100 * right / images,
            top5=100 * among_five / images,
            loss=entropy / images,
            brier=brier / images,
            reliability_3B=torch.tensor(binned, dtype=torch.float64).view(3, self.bins),
        )
