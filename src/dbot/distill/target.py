"""The target: a teacher's tokens, normalised one by one."""

from torch import Tensor


def normalise_tokens(tokens_BND: Tensor, eps: float = 1e-6) -> Tensor:
    """Every token to mean 0 and unbiased variance 1 over its features, without affine (published `forward_loss`)."""
    mean = tokens_BND.mean(dim=-1, keepdim=True)
    variance = tokens_BND.var(dim=-1, keepdim=True)
    return (tokens_BND - mean) / (variance + eps).sqrt()
