"""How busy the machine of a long job is, for MLflow's page of system metrics: the whole CPU and memory, and the job's own GPUs."""

import statistics
import time
from collections import defaultdict
from typing import Any

from dbot.tracking.runs import Point

EVERY_SECONDS = 10.0
"""How often it is looked at."""


class Machine:
    """Looks when it is asked to, with no thread of its own, and gives the mean of what it saw. Names and units are MLflow's."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = defaultdict(list)
        self._looked = time.monotonic()
        self._gpus = _gpus()
        _cpu()  # whose first answer is about nothing

    def look(self) -> None:
        """Look, if the last look was long enough ago."""
        if time.monotonic() - self._looked >= EVERY_SECONDS:
            self._looked = time.monotonic()
            for name, value in (_cpu() | self._of_gpus()).items():
                self._seen[name].append(value)

    def points(self, epoch: int) -> list[Point]:
        """The means since they were last asked for, as values of an epoch."""
        found = [(f"system/{name}", round(statistics.fmean(values), 1), epoch) for name, values in self._seen.items()]
        self._seen.clear()
        return found

    def _of_gpus(self) -> dict[str, float]:
        import torch

        found = {}
        try:
            for number in range(self._gpus):
                found[f"gpu_{number}_utilization_percentage"] = float(torch.cuda.utilization(number))
                found[f"gpu_{number}_memory_usage_megabytes"] = torch.cuda.device_memory_used(number) / 1e6
                found[f"gpu_{number}_power_usage_watts"] = torch.cuda.power_draw(number) / 1e3
        except Exception:  # noqa: BLE001 (whatever NVML raises; not every GPU tells everything)
            self._gpus = 0
        return found


def _cpu() -> dict[str, float]:
    """The CPU's use since the last call, and the memory's now."""
    from mlflow.system_metrics.metrics import cpu_monitor

    monitor: Any = cpu_monitor
    monitor = monitor.CPUMonitor()
    monitor.collect_metrics()
    found: dict[str, float] = monitor.aggregate_metrics()
    return found


def _gpus() -> int:
    """How many GPUs the job has here that can be asked. NVML's package may be missing, or have nothing to speak to."""
    import torch

    try:
        count = torch.cuda.device_count() if torch.cuda.is_initialized() else 0
        for number in range(count):
            torch.cuda.utilization(number)
    except Exception:  # noqa: BLE001 (whatever NVML raises)
        return 0
    return count
