"""The cascade: stages that each classify the boxes, find their masks, and hand better boxes to the next."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import maskrcnn_inference

from dbot.models.detector.coding import Size
from dbot.models.detector.losses import box_loss, class_loss, mask_loss, mask_truth
from dbot.models.detector.pooler import Pooler
from dbot.models.detector.stage import Stage
from dbot.params.dense import Detect

SMALLEST = 1e-2
"""Side in pixels below which a box is dropped in training: offsets from a box without area are infinite."""

Target = dict[str, Tensor]
"""Of an image: `boxes` (N, 4) xyxy, `labels` (N,) from 1, and for mask heads `masks` (N, H, W)."""

Detections = dict[str, Tensor]
"""Of an image: `boxes` (N, 4) xyxy, `scores` (N,), `labels` (N,) from 1, and of mask heads `masks` (N, M, M), probabilities within the
box."""


class Cascade(nn.Module):
    """Box and mask heads of all stages (arXiv 1712.00726, with mmdet's masks in every stage).

    Args:
        recipe: the configuration.
        strides: of the maps that boxes are pooled from, in pixels.
        classes: number of classes, without the background.
        masks: whether its stages have mask heads; without them it is Cascade R-CNN.
    """

    def __init__(self, recipe: Detect, strides: Sequence[int], classes: int, masks: bool = True) -> None:
        super().__init__()
        self.pool_boxes = Pooler(strides, recipe.boxes.size)
        self.pool_masks = Pooler(strides, recipe.masks.size) if masks else None
        self.stages = nn.ModuleList(Stage(config, recipe, classes, masks) for config in recipe.cascade.stages)
        self.loss, self.loss_weight = recipe.boxes.loss, recipe.boxes.loss_weight
        self.average = recipe.cascade.average

    def losses(self, maps: Sequence[Tensor], proposals: list[Tensor], sizes: list[Size], targets: list[Target]) -> dict[str, Tensor]:
        """Weighted losses of every stage: `loss_class_1`, `loss_box_1`, with mask heads `loss_mask_1`, ...

        Every stage adds the ground truth to its proposals. All heads take part even where no
        image has an object, so that each of their parameters gets a gradient.

        Args:
            maps: one for each stride, (B, C, H, W).
            proposals: by image, (R_i, 4).
            sizes: of the images.
            targets: of the images.
        """
        losses: dict[str, Tensor] = {}
        for number, stage in enumerate(self._stages(), start=1):
            boxes, matched, labels, _ = stage.select_training_samples(proposals, targets)
            positive = [torch.where(part > 0)[0] for part in labels]
            positives, objects = _picked(boxes, positive), _picked(matched, positive)
            labels_R, positive_R = torch.cat(labels), _in_all(positive, labels)
            labels_P = labels_R[positive_R]
            each_P = torch.arange(len(labels_P), device=labels_P.device)

            logits_RK, offsets_RK4 = stage.predict_boxes(self.pool_boxes(maps, boxes))
            truth_P4 = torch.cat(_picked([target["boxes"] for target in targets], objects))
            offsets_P4 = offsets_RK4[positive_R][each_P, labels_P]
            distance = box_loss(self.loss, stage.box_coder, offsets_P4, torch.cat(positives), truth_P4, len(labels_R))
            losses |= {
                f"loss_class_{number}": stage.weight * class_loss(logits_RK, labels_R),
                f"loss_box_{number}": stage.weight * self.loss_weight * distance,
            }
            if self.pool_masks is not None:
                masks_PKMM = stage.predict_masks(self.pool_masks(maps, positives))
                mask_truth_PMM = mask_truth(positives, objects, [target["masks"] for target in targets], masks_PKMM.shape[-1])
                losses[f"loss_mask_{number}"] = stage.weight * mask_loss(masks_PKMM[each_P, labels_P], mask_truth_PMM)
            moved = stage.refine(boxes, logits_RK, offsets_RK4, sizes, labels_R)
            proposals = [_proposed(*parts) for parts in zip(moved, boxes, targets, strict=True)]
        return losses

    def detect(self, maps: Sequence[Tensor], proposals: list[Tensor], sizes: list[Size]) -> list[Detections]:
        """What is in the images: boxes of the last stage, with scores and masks averaged over all stages.

        Args:
            maps: one for each stride, (B, C, H, W).
            proposals: by image, (R_i, 4).
            sizes: of the images.
        """
        stages = self._stages()
        every_RK: list[Tensor] = []
        boxes = proposals
        for stage in stages:
            logits_RK, offsets_RK4 = stage.predict_boxes(self.pool_boxes(maps, boxes))
            every_RK.append(logits_RK)
            if stage is not stages[-1]:
                boxes = stage.refine(boxes, logits_RK, offsets_RK4, sizes)
        found = stages[-1].postprocess_detections(self._averaged(torch.stack(every_RK)), offsets_RK4.flatten(1), boxes, sizes)
        detections = [dict(zip(("boxes", "scores", "labels"), of_image, strict=True)) for of_image in zip(*found, strict=True)]
        if self.pool_masks is None:
            return detections
        boxes, _, labels = found
        pooled = self.pool_masks(maps, boxes)
        masks = [maskrcnn_inference(stage.predict_masks(pooled), labels) for stage in stages]
        return [
            {**of_image, "masks": torch.stack(masks_SN1MM).mean(dim=0).squeeze(1)}
            for of_image, masks_SN1MM in zip(detections, zip(*masks, strict=True), strict=True)
        ]

    def _averaged(self, logits_SRK: Tensor) -> Tensor:
        """Logits whose softmax are the scores."""
        if self.average == "logits":
            return logits_SRK.mean(dim=0)
        return logits_SRK.softmax(dim=-1).mean(dim=0).log()

    def _stages(self) -> list[Stage]:
        return [cast(Stage, stage) for stage in self.stages]


def _picked(parts: Iterable[Tensor], which: Iterable[Tensor]) -> list[Tensor]:
    """From each tensor the rows of some numbers."""
    return [part[chosen] for part, chosen in zip(parts, which, strict=True)]


def _in_all(which: Sequence[Tensor], parts: Sequence[Tensor]) -> Tensor:
    """Numbers of rows of each part as numbers of rows of all parts, one behind the other."""
    starts = accumulate((len(part) for part in parts), initial=0)
    return torch.cat([chosen + start for chosen, start in zip(which, starts, strict=False)])


def _proposed(moved_R4: Tensor, boxes_R4: Tensor, target: Target) -> Tensor:
    """Of the moved boxes those that may be proposed to the next stage: not the ground truth itself, which that adds anew."""
    copies_R = (boxes_R4.unsqueeze(1) == target["boxes"]).all(dim=-1).any(dim=1)
    large_R = (moved_R4[:, 2:] - moved_R4[:, :2] >= SMALLEST).all(dim=1)
    return moved_R4[large_R & ~copies_R]
