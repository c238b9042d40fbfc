"""The type that matrix products are computed in."""

import torch

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_type(precision: str) -> torch.dtype | None:
    """The autocast type for a recipe's precision; None computes in float32."""
    return TYPES.get(precision)
