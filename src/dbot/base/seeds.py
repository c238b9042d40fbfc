"""Random draws that depend on what they are for, and on nothing that came before.

Every draw is seeded by a path of parts: the recipe's seed, a purpose, and where it happens (an
epoch and an image, a step and a rank). So no random state has to be saved for a job that goes on
after an interruption, a loader may run in any number of processes, and a sample is cropped in the
same way however many GPUs there are.
"""

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Part = int | str


def seed_of(*path: Part) -> int:
    """A seed of 63 bits for a path of parts."""
    text = "/".join(map(str, path)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def generator(*path: Part, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A generator for the draws of one purpose."""
    import torch

    return torch.Generator(device).manual_seed(seed_of(*path))


def seed_host(*path: Part) -> None:
    """Seed what augmentations draw from: Python, NumPy and torch on the CPU."""
    import numpy
    import torch

    seed = seed_of(*path)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


def seed_step(*path: Part) -> None:
    """Seed what a training step draws from, the GPUs included: drop path, mixing, erasing."""
    import torch

    seed_host(*path)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(seed_of(*path))
