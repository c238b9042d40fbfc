"""The type that matrix products are computed in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_type(precision: str) -> torch.dtype | None:
    """The autocast type for a recipe's precision; None computes in float32."""
    return TYPES.get(precision)


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of float32 matrices with all their bits, also on a GPU, where training rounds them to TF32."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
