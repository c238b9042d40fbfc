"""The region proposal network: torchvision's, with the matching of the published recipe."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from dbot.models.detector.anchors import StridedAnchors
from dbot.models.detector.coding import KeptWeights, Size
from dbot.params.dense import Proposals


class FlooredMatcher(Matcher):  # type: ignore[misc] # torchvision is untyped
    """Gives every object the anchors that overlap it most, if they overlap it at all.

    torchvision's own knows no least overlap: an object that no anchor overlaps would make a
    positive of every anchor that overlaps nothing.
    """

    def __init__(self, positive_iou: float, negative_iou: float, least_iou: float) -> None:
        super().__init__(positive_iou, negative_iou, allow_low_quality_matches=True)
        self.least_iou = least_iou

    def set_low_quality_matches_(self, matches: Tensor, all_matches: Tensor, match_quality_matrix: Tensor) -> None:
        """Match, in place, the anchors that are an object's best to the object that they overlap most."""
        best_N1 = match_quality_matrix.amax(dim=1, keepdim=True)
        chosen_A = ((match_quality_matrix == best_N1) & (best_N1 >= self.least_iou)).any(dim=0)
        matches.copy_(torch.where(chosen_A, all_matches, matches))


class ProposalNetwork(RegionProposalNetwork):  # type: ignore[misc] # torchvision is untyped
    """Proposes boxes, whatever is in them; anchors that reach out of the image are not trained.

    Args:
        config: the recipe's.
        channels: of the maps.
        strides: of the maps, in pixels.
    """

    def __init__(self, config: Proposals, channels: int, strides: Sequence[int]) -> None:
        super().__init__(
            StridedAnchors(strides, config.anchor_scale, config.anchor_ratios),
            RPNHead(channels, len(config.anchor_ratios)),
            fg_iou_thresh=config.positive_iou,
            bg_iou_thresh=config.negative_iou,
            batch_size_per_image=config.samples,
            positive_fraction=config.positive_fraction,
            pre_nms_top_n={"training": config.candidates.training, "testing": config.candidates.inference},
            post_nms_top_n={"training": config.kept.training, "testing": config.kept.inference},
            nms_thresh=config.nms,
        )
        self.proposal_matcher = FlooredMatcher(config.positive_iou, config.negative_iou, config.least_iou)
        self.box_coder = KeptWeights((1.0, 1.0, 1.0, 1.0))
        self.border = config.border

    def assign_targets_to_anchors(self, anchors: list[Tensor], targets: list[dict[str, Any]]) -> tuple[list[Tensor], list[Tensor]]:
        """By image, 1, 0 or -1 (not trained) for every anchor, and the box that it is matched to.

        Args:
            anchors: by image, (A, 4).
            targets: by image, `boxes` (N, 4) and `size`, the image's height and width.
        """
        labels, boxes = [], []
        for anchors_A4, target in zip(anchors, targets, strict=True):
            trained_A = self._trained(anchors_A4, target["size"])
            (found,), (matched,) = super().assign_targets_to_anchors([anchors_A4[trained_A]], [target])
            labels.append(anchors_A4.new_full((len(anchors_A4),), -1).masked_scatter(trained_A, found))
            boxes.append(anchors_A4.masked_scatter(trained_A.unsqueeze(1), matched))
        return labels, boxes

    def _trained(self, anchors_A4: Tensor, size: Size) -> Tensor:
        if self.border is None:
            return torch.ones_like(anchors_A4[:, 0], dtype=torch.bool)
        left_A, top_A, right_A, bottom_A = anchors_A4.unbind(dim=1)
        height, width = size
        reach_A = (left_A >= -self.border) & (top_A >= -self.border)
        inside_A = reach_A & (right_A <= width + self.border) & (bottom_A <= height + self.border)
        # An image that is smaller than every anchor still has to be learnt from.
        return inside_A | ~inside_A.any()
