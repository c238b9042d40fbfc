"""What a symmetric student is trained on: the views of an image's crop, and a mask."""

from random import Random
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from dbot.data.labelled import TrainingImages
from dbot.distill.blocks import block_mask
from dbot.params.recipes import Blocks
from dbot.train.randomness import seed_of


class MaskedViews(Dataset[Any]):
    """(student's pixels, mask) or, where the teacher sees another size, (student's pixels, mask, teacher's pixels).

    Asked for (epoch, number): like the crop, the mask depends on the seed, the epoch and the image
    alone.

    Args:
        images: training images whose transform gives one view or two.
        grid: patches along one side of the student's view.
        blocks: figures of the masks.
        seed: of the masks.
    """

    def __init__(self, images: TrainingImages, grid: int, blocks: Blocks, seed: int) -> None:
        self.images = images
        self.grid = grid
        self.blocks = blocks
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, ...]:
        (view, *others), _ = self.images[where]
        mask = block_mask(self.grid, self.blocks, Random(seed_of(self.seed, "blocks", *where)))
        return (view, mask, *others)

    @property
    def paths(self) -> Any:
        """By number, an image's file below the data set's root."""
        return self.images.paths
