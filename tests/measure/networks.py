"""Small networks of both designs whose attention is far from uniform, and images for them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dbot.base.seeds import generator
from dbot.models.encoder import build_encoder, initialise
from dbot.models.symmetric import Positions, build_symmetric_classifier, build_symmetric_encoder, initialise_symmetric
from dbot.params.teachers import Architecture

CPU = torch.device("cpu")


def architecture(**changes) -> Architecture:
    small = {"title": "tiny", "image_size": 16, "patch_size": 4, "width": 16, "depth": 2, "heads": 2, "mlp_ratio": 2}
    return Architecture(**{**small, **changes})


def asymmetric(seed: int = 0, **changes) -> nn.Module:
    encoder = build_encoder(architecture(**changes), drop_path=0.5)
    initialise(encoder, generator("weights", seed))
    return peaked(encoder)


def symmetric(seed: int = 0, **changes) -> nn.Module:
    """One table of biases for all blocks."""
    encoder = build_symmetric_encoder(architecture(**changes), Positions(), drop_path=0.5)
    initialise_symmetric(encoder, generator("weights", seed))
    return peaked(encoder, "relative_position_bias_table")


def classifier(seed: int = 0) -> nn.Module:
    """A table of biases in every block."""
    network = build_symmetric_classifier(architecture(), Positions(), 0.1, 10, 16, "average")
    initialise_symmetric(network, generator("weights", seed))
    return peaked(network, "relative_position_bias_table")


def peaked(network: nn.Module, *noisy: str) -> nn.Module:
    """Larger queries and keys, and noise where weights begin at 0."""
    draw = generator("noise", 0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("qkv.weight"):
                weight.mul_(4)
            elif name.endswith(noisy):
                weight.normal_(generator=draw)
    return network


def images(count: int, size: int = 16) -> Tensor:
    return torch.randn(count, 3, size, size, generator=generator("images", count))


def split(all_images: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    return list(all_images.split(list(sizes)))
