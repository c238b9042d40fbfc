"""One stage of the cascade: its heads, and what a stage does to boxes."""

from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import clip_boxes_to_image

from dbot.models.detector.coding import KeptWeights, Size
from dbot.params.dense import CascadeStage, Detect

CHANNELS_OF_A_GROUP = 8
"""32 groups of 256 channels (arXiv 1803.08494)."""


class BoxPredictor(nn.Module):
    """Class logits, and offsets for every class.

    Args:
        width: of the features.
        classes: the background among them, at 0.
        class_agnostic: one set of offsets for all classes.
    """

    def __init__(self, width: int, classes: int, class_agnostic: bool) -> None:
        super().__init__()
        self.classes = classes
        self.classify = nn.Linear(width, classes)
        self.regress = nn.Linear(width, 4 if class_agnostic else 4 * classes)

    def forward(self, features_RD: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (R, K) and offsets (R, K, 4)."""
        offsets_RJ4: Tensor = self.regress(features_RD).unflatten(1, (-1, 4))
        return self.classify(features_RD), offsets_RJ4.expand(-1, self.classes, -1)


class Stage(RoIHeads):  # type: ignore[misc] # torchvision is untyped
    """torchvision's matching, sampling, box coding and non-maximum suppression around heads of its own.

    Args:
        config: the stage's own.
        recipe: what all stages share.
        classes: number of classes, without the background.
        masks: whether it has a mask head.
    """

    def __init__(self, config: CascadeStage, recipe: Detect, classes: int, masks: bool = True) -> None:
        channels, boxes = recipe.channels, recipe.boxes
        weights = tuple(1 / std for std in config.stds)
        norm = nn.BatchNorm2d if boxes.norm == "batch" else partial(nn.GroupNorm, channels // CHANNELS_OF_A_GROUP)
        super().__init__(
            box_roi_pool=None,
            box_head=FastRCNNConvFCHead((channels, boxes.size, boxes.size), [channels] * boxes.convolutions, [boxes.hidden], norm),
            box_predictor=BoxPredictor(boxes.hidden, classes + 1, boxes.class_agnostic),
            fg_iou_thresh=config.iou,
            bg_iou_thresh=config.iou,
            batch_size_per_image=recipe.cascade.samples,
            positive_fraction=recipe.cascade.positive_fraction,
            bbox_reg_weights=weights,
            score_thresh=recipe.inference.score,
            nms_thresh=recipe.inference.nms,
            detections_per_img=recipe.inference.detections,
            mask_head=MaskRCNNHeads(channels, [channels] * recipe.masks.convolutions, dilation=1) if masks else None,
            mask_predictor=MaskRCNNPredictor(channels, channels, classes + 1) if masks else None,
        )
        self.box_coder = KeptWeights(weights)
        self.weight = config.weight

    def predict_boxes(self, pooled_RCSS: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (R, K), the background at 0, and offsets for every class (R, K, 4)."""
        logits_RK, offsets_RK4 = self.box_predictor(self.box_head(pooled_RCSS))
        return logits_RK, offsets_RK4

    def predict_masks(self, pooled_RCSS: Tensor) -> Tensor:
        """Logits of a mask for every class, (R, K, 2 S, 2 S)."""
        logits_RKMM: Tensor = self.mask_predictor(self.mask_head(pooled_RCSS))
        return logits_RKMM

    @torch.no_grad()
    def refine(
        self, boxes: list[Tensor], logits_RK: Tensor, offsets_RK4: Tensor, sizes: list[Size], labels_R: Tensor | None = None
    ) -> list[Tensor]:
        """The next stage's boxes: moved by the offsets of one class each, cut at the image's edge.

        Args:
            boxes: by image, (R_i, 4).
            logits_RK: of `predict_boxes`.
            offsets_RK4: of `predict_boxes`.
            sizes: of the images.
            labels_R: the true classes, which are taken where they are known; elsewhere (0, or in
                inference) the likeliest that is not the background.
        """
        chosen_R = logits_RK[:, 1:].argmax(dim=1) + 1
        if labels_R is not None:
            chosen_R = torch.where(labels_R > 0, labels_R, chosen_R)
        offsets_R4 = offsets_RK4[torch.arange(len(chosen_R), device=chosen_R.device), chosen_R]
        moved = self.box_coder.decode_single(offsets_R4, torch.cat(boxes)).split([len(part) for part in boxes])
        return [clip_boxes_to_image(part, size) for part, size in zip(moved, sizes, strict=True)]
