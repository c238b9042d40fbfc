"""Training that gives the same bits twice on a GPU, which a CPU does anyway."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from dbot.base.errors import UserError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""The environment's variable that cuBLAS reads when it is first used."""
DETERMINISTIC = (":4096:8", ":16:8")
"""Its values with which cuBLAS gives the same bits in every run."""


@contextmanager
def determinism(wanted: bool, device: torch.device) -> Iterator[None]:
    """Compute with such kernels alone, on a GPU, as give the same bits in every run on a GPU of the same kind.

    Of attention's backward passes torch then takes those of flash and of memory-efficient attention without atomic sums; cuDNN's
    is left out. Inductor chooses no kernel by its speed. It has to begin before the first matrix product of the process.

    Args:
        wanted: False: nothing is different.
        device: on a CPU nothing is different either.

    Raises:
        UserError: the environment has cuBLAS compute otherwise, or what is computed has an operation without such a kernel.
    """
    if not wanted or device.type != "cuda":
        yield
        return
    if (found := os.environ.setdefault(WORKSPACE, DETERMINISTIC[0])) not in DETERMINISTIC:
        allowed = " or ".join(DETERMINISTIC)
        raise UserError(
            f"{WORKSPACE} is {found!r}, with which deterministic: true in the recipe can't hold; unset it, or set it to {allowed}"
        )
    with ExitStack() as stack:
        stack.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        stack.callback(torch.backends.cuda.enable_cudnn_sdp, torch.backends.cuda.cudnn_sdp_enabled())
        stack.enter_context(torch.backends.cudnn.flags(benchmark=False, deterministic=True))
        stack.enter_context(_compiling_alike())
        torch.use_deterministic_algorithms(True)
        torch.backends.cuda.enable_cudnn_sdp(False)
        try:
            yield
        except RuntimeError as error:
            operation, _, rest = str(error).partition(" does not have a deterministic implementation")
            if not rest:
                raise
            raise UserError(f"{operation} is not deterministic on a GPU; set deterministic: false in the recipe") from None


@contextmanager
def _compiling_alike() -> Iterator[None]:
    """Have torch.compile choose the same kernels in every run.

    Its settings hold for a thread, and backward passes are compiled in autograd's own unless the forward pass has them compiled with it.
    """
    from torch._functorch import config as autograd
    from torch._inductor import config as inductor

    with inductor.patch(deterministic=True), autograd.patch(force_non_lazy_backward_lowering=True):
        yield
