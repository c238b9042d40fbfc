"""What a network costs: weights, FLOPs of an image, and images a second on this device."""

import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dbot.models.subject import Subject, parameters
from dbot.tasks.measuring.findings import Finding, Run, findings
from dbot.train.precision import autocast_type

GIGA = 1e9
MEGA = 1e6
WARM = 2
"""Forward passes before the clock starts."""


@torch.no_grad()
def flops(subject: Subject, device: torch.device) -> int:
    """FLOPs of the forward pass of one image, twice its multiplications with addition; matrix products and convolutions are counted.

    Attention is computed by plain matrix products meanwhile, for the counter doesn't know every fused kernel.
    """
    pixels = torch.zeros(1, 3, subject.image_size, subject.image_size, device=device)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        subject.network(pixels)
    return int(counter.get_total_flops())


@torch.no_grad()
def images_per_second(subject: Subject, run: Run, seconds: float) -> float:
    """Images that go through the network, without reading or preparing them, in batches, for at least so many seconds."""
    device, autocast = run.device, autocast_type(run.precision)
    pixels = torch.zeros(run.batch, 3, subject.image_size, subject.image_size, device=device)

    def forward() -> None:
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            subject.network(pixels)

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    for _ in range(WARM):
        forward()
    started, passes = now(), 0
    while passes == 0 or now() - started < seconds:
        forward()
        passes += 1
    return passes * run.batch / (now() - started)


def cost(subject: Subject, run: Run, seconds: float) -> list[Finding]:
    """Parameters, GFLOPs and throughput."""
    speed = images_per_second(subject, run, seconds)
    metrics = {
        "parameters": (parameters(subject) / MEGA, "million"),
        "FLOPs": (flops(subject, run.device) / GIGA, "10⁹ an image"),
        "throughput": (speed, f"images/s on {run.processes.device_name}, {run.precision}, batch {run.batch}"),
    }
    return findings("cost", metrics, None)
