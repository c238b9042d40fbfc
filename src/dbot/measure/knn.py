"""Weighted nearest neighbours on cosine similarities (Wu et al., arXiv 1805.01978, as DINO, arXiv 2104.14294, uses them)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dbot.base.errors import UserError
from dbot.train.distributed import Processes
from dbot.train.precision import full_precision

QUERIES = 4096
BANK = 16384
"""Similarities are computed for so many validation by so many training images at once: 268 MB."""


def require_neighbours(k: Sequence[int], training_images: int, key: str) -> None:
    """Raise a UserError where more neighbours are asked for than there are; ``key`` names the place in params.yaml."""
    if max(k) > training_images:
        raise UserError(f"{key} is {max(k)}, but only {training_images} training images can be neighbours; lower it")


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of images, with their classes."""

    values_ND: Tensor
    """float32, on the CPU."""
    labels_N: Tensor
    """int64, on the CPU; numbers of classes, from 0."""

    def __len__(self) -> int:
        return len(self.labels_N)


def knn(
    train: LabelledFeatures, validation: LabelledFeatures, k: Sequence[int], temperature: float, classes: int, processes: Processes
) -> dict[int, float]:
    """Top-1 accuracy in percent for each number of neighbours.

    The k training images with the highest cosine similarity s vote for their classes with
    exp(s / temperature). Equal sums of votes go to the lower class number; which of several
    equally near images is the k-th neighbour is not defined. The validation images are shared out
    over the processes, and each process gets the result of all.
    """
    device, mine = processes.device, slice(processes.rank, None, processes.world)
    right = torch.zeros(len(k), dtype=torch.float64, device=device)
    training_labels_N = train.labels_N.to(device)
    for queries_QD, labels_Q in zip(validation.values_ND[mine].split(QUERIES), validation.labels_N[mine].split(QUERIES), strict=True):
        near_QK, numbers_QK = _nearest(queries_QD.to(device), train.values_ND, max(k))
        # Taking the largest out of the exponent changes no winner and lets no temperature overflow.
        votes_QK = ((near_QK - near_QK[:, :1]).double() / temperature).exp()
        voted_QK = training_labels_N[numbers_QK]
        for at, count in enumerate(k):
            sums_QC = votes_QK.new_zeros(len(votes_QK), classes).scatter_add_(1, voted_QK[:, :count], votes_QK[:, :count])
            right[at] += (sums_QC.argmax(dim=1) == labels_Q.to(device)).sum()
    hits = processes.sum(right).tolist()
    return {count: 100 * found / len(validation) for count, found in zip(k, hits, strict=True)}


def _nearest(queries_QD: Tensor, bank_ND: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Similarities and numbers of the k nearest of the bank, the nearest first: (Q, k) each."""
    queries_QD = functional.normalize(queries_QD, dim=1)
    best_QK = queries_QD.new_empty(len(queries_QD), 0)
    numbers_QK = best_QK.long()
    for start in range(0, len(bank_ND), BANK):
        part_PD = functional.normalize(bank_ND[start : start + BANK].to(queries_QD.device), dim=1)
        with full_precision():
            near_QP, places_QP = (queries_QD @ part_PD.T).topk(min(k, len(part_PD)), dim=1)
        candidates, numbers = torch.cat([best_QK, near_QP], dim=1), torch.cat([numbers_QK, places_QP + start], dim=1)
        best_QK, chosen_QK = candidates.topk(min(k, candidates.shape[1]), dim=1)
        numbers_QK = numbers.gather(1, chosen_QK)
    return best_QK, numbers_QK
