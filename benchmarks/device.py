"""What a measurement reads off the machine: images a second, memory, and the fastest product of two matrices."""

import resource
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.sides import Numbers
from dbot.train.distributed import Processes, processes

PEAK_SIDE = 4096
"""Of the square matrices whose product is taken for the device's peak."""
PRODUCTS = 3
"""Of them in a measurement."""
PEAK = "largest matrix product"


def alone(threads: int) -> Processes:
    """This process by itself, with the settings of a training, which stay."""
    return processes("auto", threads).__enter__()


def wait_for_device() -> None:
    """Until a GPU has done what it was asked to."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(run: Callable[[], Any], images: int) -> Numbers:
    """Images a second of something, and the most memory that the process has had: of the GPU where there is one."""
    begun = time.perf_counter()
    run()
    wait_for_device()
    seconds = time.perf_counter() - begun
    on_gpu = torch.cuda.is_available()
    used = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"images_per_second": images / seconds, "memory_gb": used / 1e9}


def largest_product(precision: str, threads: int) -> Any:
    """A measurement of the device's fastest product of two large matrices, in operations a second."""
    device = alone(threads).device
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    one = torch.rand(PEAK_SIDE, PEAK_SIDE, device=device).to(kind)

    def measure() -> Numbers:
        best = 0.0
        for _ in range(PRODUCTS):
            begun = time.perf_counter()
            one @ one
            wait_for_device()
            best = max(best, 2 * PEAK_SIDE**3 / (time.perf_counter() - begun))
        return {"flops": best}

    return measure
