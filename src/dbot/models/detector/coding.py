"""Boxes as offsets from other boxes."""

import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, encode_boxes

from dbot.base.on_device import numbers_on

Size = tuple[int, int]
"""Height and width of an image in pixels."""


class KeptWeights(BoxCoder):  # type: ignore[misc] # torchvision is untyped
    """torchvision's coder to the last bit, without the numbers that it sends to the device in every call."""

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Offsets that take proposals to reference boxes, (N, 4) each, float32."""
        offsets: Tensor = encode_boxes(reference_boxes, proposals, numbers_on(reference_boxes.device, *self.weights))
        return offsets

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Boxes xyxy, (N, 4 K), from offsets (N, 4 K) and the boxes (N, 4) that they are of (R-CNN, arXiv 1311.2524, appendix C)."""
        boxes = boxes.to(rel_codes.dtype)
        sides_N2 = boxes[:, 2:] - boxes[:, :2]
        centres_N2 = boxes[:, :2] + 0.5 * sides_N2
        (width_N1, height_N1), (x_N1, y_N1) = (part.unsqueeze(2).unbind(dim=1) for part in (sides_N2, centres_N2))
        by_x, by_y, by_width, by_height = self.weights
        widths = torch.exp(torch.clamp(rel_codes[:, 2::4] / by_width, max=self.bbox_xform_clip)) * width_N1
        heights = torch.exp(torch.clamp(rel_codes[:, 3::4] / by_height, max=self.bbox_xform_clip)) * height_N1
        x, y = rel_codes[:, 0::4] / by_x * width_N1 + x_N1, rel_codes[:, 1::4] / by_y * height_N1 + y_N1
        half_widths, half_heights = 0.5 * widths, 0.5 * heights
        return torch.stack([x - half_widths, y - half_heights, x + half_widths, y + half_heights], dim=2).flatten(1)
