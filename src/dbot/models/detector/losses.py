"""Losses of a stage's heads, normalised as mmdet does."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import generalized_box_iou_loss, roi_align


def class_loss(logits_RK: Tensor, labels_R: Tensor) -> Tensor:
    """Cross-entropy, mean over all proposals; 0 where there are none."""
    return functional.cross_entropy(logits_RK, labels_R, reduction="sum") / max(1, len(labels_R))


def box_loss(kind: str, coder: BoxCoder, offsets_P4: Tensor, proposals_P4: Tensor, truth_P4: Tensor, proposals: int) -> Tensor:
    """Sum over the positive proposals, over the number of all.

    Args:
        kind: `giou` of decoded boxes, or `smooth_l1` of encoded offsets.
        coder: between boxes and offsets.
        offsets_P4: predicted for the positive proposals, at their true class.
        proposals_P4: those proposals, xyxy in pixels.
        truth_P4: the boxes that they are matched to.
        proposals: number of all.
    """
    if kind == "giou":
        loss: Tensor = generalized_box_iou_loss(coder.decode_single(offsets_P4, proposals_P4), truth_P4, reduction="sum")
    else:
        loss = functional.smooth_l1_loss(offsets_P4, coder.encode_single(truth_P4, proposals_P4), reduction="sum")
    return loss / max(1, proposals)


def mask_loss(logits_PMM: Tensor, truth_PMM: Tensor) -> Tensor:
    """Binary cross-entropy of the true classes' masks, mean over their pixels; 0 where there are none."""
    return functional.binary_cross_entropy_with_logits(logits_PMM, truth_PMM, reduction="sum") / max(1, truth_PMM.numel())


def mask_truth(proposals: Sequence[Tensor], matched: Sequence[Tensor], masks: Sequence[Tensor], side: int) -> Tensor:
    """What the mask heads shall say: the object's mask within each proposal, resampled and cut at one half.

    Args:
        proposals: by image, (P_i, 4) xyxy in pixels.
        matched: by image, the number of each proposal's object, (P_i,).
        masks: by image, (N_i, H_i, W_i).
        side: of the result.

    Returns:
        Zeros and ones, (sum of P_i, side, side).
    """
    truth = []
    for boxes_P4, numbers_P, masks_NHW in zip(proposals, matched, masks, strict=True):
        rois_P5 = torch.cat([numbers_P.to(boxes_P4).unsqueeze(1), boxes_P4], dim=1)
        truth.append(roi_align(masks_NHW.to(boxes_P4).unsqueeze(1), rois_P5, side, sampling_ratio=0, aligned=True).squeeze(1))
    return (torch.cat(truth) >= 0.5).float()
