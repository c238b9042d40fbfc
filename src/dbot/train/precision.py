"""The type that matrix products are computed in."""

import torch

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
REDUCED_ON = ("cuda",)
"""Devices that compute in reduced precision. Few CPUs do so natively; the others emulate it, measured 20 times slower."""


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The autocast type for a recipe's precision; None computes in float32, as a CPU always does."""
    return TYPES.get(precision) if device.type in REDUCED_ON else None
