"""Anchors on maps of known strides."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList


class StridedAnchors(AnchorGenerator):  # type: ignore[misc] # torchvision is untyped
    """Anchors of one area and several shapes around every place of every map.

    torchvision's own would divide the image's side by the map's to find a stride, which is wrong
    where a map's side was rounded up (the coarsest of a 96 px image: 48 instead of 64), and would
    round the anchors' sides to whole pixels, which matters for maps of stride 1.

    Args:
        strides: of the maps, in pixels.
        scale: side of a square anchor over the stride.
        ratios: height over width.
    """

    def __init__(self, strides: Sequence[int], scale: float, ratios: Sequence[float]) -> None:
        super().__init__(tuple((scale * stride,) for stride in strides), (tuple(ratios),) * len(strides))
        self.strides = tuple(strides)

    def generate_anchors(
        self,
        scales: Sequence[float],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Boxes around the origin, (ratios, 4)."""
        sides = torch.as_tensor(scales, dtype=dtype, device=device)
        roots = torch.as_tensor(aspect_ratios, dtype=dtype, device=device).sqrt()
        widths, heights = sides / roots, sides * roots
        return torch.stack([-widths, -heights, widths, heights], dim=1) / 2

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """All anchors by image, (A, 4) xyxy in pixels; they are the same for all."""
        self.set_cell_anchors(feature_maps[0].dtype, feature_maps[0].device)
        grids = [list(features.shape[-2:]) for features in feature_maps]
        anchors_A4 = torch.cat(self.grid_anchors(grids, [[stride, stride] for stride in self.strides]))
        return [anchors_A4] * len(image_list.image_sizes)
