"""Features of boxes, each from the map that suits its size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

CANONICAL = 14
"""A box with sides below twice this many strides of the finest map is pooled from it (56 px at stride 4)."""


class Pooler(nn.Module):
    """RoIAlign over several maps of known strides.

    torchvision's MultiScaleRoIAlign guesses the scales from the first batch and its unpadded
    images, and pools half a pixel off (aligned=False); mmdet's and detectron2's don't.

    Args:
        strides: of the maps in pixels, the finest first; each twice the one before.
        size: side of the pooled features.
    """

    def __init__(self, strides: Sequence[int], size: int) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.size = size

    def levels(self, boxes_R4: Tensor) -> Tensor:
        """For each box the number of its map, (R,)."""
        sides_R = (boxes_R4[:, 2:] - boxes_R4[:, :2]).prod(dim=1).sqrt()
        # The small number, mmdet's, puts boxes of exactly a limit's size on the coarser map.
        levels_R = torch.log2(sides_R / (CANONICAL * self.strides[0]) + 1e-6).floor()
        return levels_R.clamp(0, len(self.strides) - 1).long()

    def forward(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Features of all boxes, image after image.

        Args:
            maps: one for each stride, (B, C, H, W).
            boxes: by image, (R_i, 4) xyxy in pixels.

        Returns:
            (sum of R_i, C, size, size).
        """
        flat_R4 = torch.cat(list(boxes))
        image_R1 = torch.cat([part.new_full((len(part), 1), number) for number, part in enumerate(boxes)])
        rois_R5 = torch.cat([image_R1, flat_R4], dim=1)
        pooled_RCSS = maps[0].new_zeros(len(flat_R4), maps[0].shape[1], self.size, self.size)
        for features, stride, here in zip(maps, self.strides, self._by_level(flat_R4), strict=True):
            # Sampling ratio 0: as many points in a bin as it has pixels of the map.
            pooled_RCSS[here] = roi_align(features, rois_R5[here], self.size, 1 / stride, sampling_ratio=0, aligned=True)
        return pooled_RCSS

    def _by_level(self, boxes_R4: Tensor) -> Sequence[Tensor]:
        """For each map the numbers of its boxes, ascending. The host waits for a device once, to know how many they are."""
        levels_R = self.levels(boxes_R4)
        counts_L = (levels_R.unsqueeze(1) == torch.arange(len(self.strides), device=levels_R.device)).sum(dim=0)
        by_level: Sequence[Tensor] = levels_R.argsort(stable=True).split(counts_L.tolist())
        return by_level
