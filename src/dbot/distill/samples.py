"""What a symmetric student is trained on: the views of an image's crop, and its masks."""

from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dbot.base.seeds import seed_of
from dbot.data.labelled import TrainingImages
from dbot.distill.blocks import block_mask
from dbot.params.recipes import Blocks


class MaskedViews(Dataset[Any]):
    """(student's pixels, masks) or, where the teacher sees another size, (student's pixels, masks, teacher's pixels).

    Asked for (epoch, number): like the crop, the masks (M, N) depend on the seed, the epoch and the image
    alone; the first is the same however many there are.

    Args:
        images: training images whose transform gives one view or two.
        grid: patches along one side of the student's view.
        blocks: configuration of the masks.
        seed: of the masks.
        masks: M, how many of each image.
    """

    def __init__(self, images: TrainingImages, grid: int, blocks: Blocks, seed: int, masks: int = 1) -> None:
        self.images = images
        self.grid = grid
        self.blocks = blocks
        self.seed = seed
        self.masks = masks

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, ...]:
        (view, *others), _ = self.images[where]
        draws = Random(seed_of(self.seed, "blocks", *where))
        masks = torch.stack([block_mask(self.grid, self.blocks, draws) for _ in range(self.masks)])
        return (view, masks, *others)

    @property
    def paths(self) -> Any:
        """By number, an image's file below the data set's root."""
        return self.images.paths
