"""What a pyramid promises, by plain convolutions: quick to train, and every map sees its surroundings."""

import torch
from torch import Tensor, nn


class StandInPyramid(nn.Module):
    def __init__(self, channels: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.channels = channels
        self.strides = (1, 2, 4, 8)
        self.divisor = 8
        self.given: list[torch.Size] = []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.steps = nn.ModuleList(
                [
                    nn.Conv2d(3, channels, 3, padding=1),
                    *(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(3)),
                ]
            )

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        assert not any(side % self.divisor for side in images_BCHW.shape[2:])
        self.given.append(images_BCHW.shape)
        maps = []
        for step in self.steps:
            images_BCHW = step(images_BCHW).relu()
            maps.append(images_BCHW)
        return maps
