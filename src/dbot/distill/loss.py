"""Distances between predictions and targets, averaged over the scored tokens."""

import torch
from torch import Tensor
from torch.nn import functional

from dbot.params.recipes import Loss


def token_distance(prediction_BND: Tensor, target_BND: Tensor, loss: Loss) -> Tensor:
    """Distance at every token, in float32: (B, N).

    Smooth L1 is d²/(2 beta) below beta and |d| - beta/2 above; L1, L2 and smooth L1 are means
    over the features; the cosine distance is 1 - cos.
    """
    prediction_BND, target_BND = prediction_BND.float(), target_BND.float()
    if loss.kind == "negative_cosine":
        return 1 - functional.cosine_similarity(prediction_BND, target_BND, dim=-1, eps=1e-6)
    if loss.kind == "smooth_l1":
        distance = functional.smooth_l1_loss(prediction_BND, target_BND, reduction="none", beta=loss.beta)
    elif loss.kind == "l1":
        distance = (prediction_BND - target_BND).abs()
    else:
        distance = (prediction_BND - target_BND).square()
    return distance.mean(dim=-1)


def scored_mean(distance_BN: Tensor, scored_BN: Tensor) -> Tensor:
    """Mean over the tokens where ``scored`` is 1, over the whole batch."""
    return (distance_BN * scored_BN).sum() / scored_BN.sum()


def mean_over_masks(distance_BN: Tensor, scored_BN: Tensor, masks: int) -> Tensor:
    """Mean over the scored tokens under each of so many masks, and the mean of these; the batch holds mask after mask."""
    if masks == 1:
        return scored_mean(distance_BN, scored_BN)
    parts = zip(distance_BN.chunk(masks), scored_BN.chunk(masks), strict=True)
    return torch.stack([scored_mean(distance, scored) for distance, scored in parts]).mean()


def with_class_token(masked_BN: Tensor, scored: bool) -> Tensor:
    """The mask with a first column for the class token: (B, 1 + N)."""
    return torch.cat([masked_BN.new_full((len(masked_BN), 1), float(scored)), masked_BN], dim=1)
