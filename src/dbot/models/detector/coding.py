"""Boxes as offsets from other boxes."""

from torch import Tensor
from torchvision.models.detection._utils import BoxCoder, encode_boxes

from dbot.base.on_device import numbers_on

Size = tuple[int, int]
"""Height and width of an image in pixels."""


class KeptWeights(BoxCoder):  # type: ignore[misc] # torchvision is untyped
    """torchvision's coder, whose weights stay on the device: it would send them there in every call."""

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Offsets that take proposals to reference boxes, (N, 4) each, float32."""
        offsets: Tensor = encode_boxes(reference_boxes, proposals, numbers_on(reference_boxes.device, *self.weights))
        return offsets
