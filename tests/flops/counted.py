"""What torch counts of a network that is run."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def counted(run: Callable[[], Tensor], backward: bool = True) -> float:
    """FLOPs of a forward pass to a scalar and, if asked, its backward pass; attention as the matrix products that it is."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        value = run()
        if backward:
            value.backward()
    return float(counter.get_total_flops())
