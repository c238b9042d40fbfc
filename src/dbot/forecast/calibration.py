"""What `dbot calibrate` has measured: the throughput of one device for each kind of training."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict, ValidationError

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.plan import RESULTS

TERA = 1e12


class Measured(BaseModel):
    """One kind of training, measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """`Work.kind` of the jobs that train so."""
    verb: str
    job: str
    """Name of one of these jobs: the one that was measured."""
    device: str
    date: str
    """UTC, ISO 8601."""
    batch: int
    """Images in one forward pass of one process."""
    processes: int
    images_per_second: float
    """Of one process, loading and augmentation of drawn images included."""
    data_wait: float
    """Share of the time that was spent waiting for them."""
    flops_per_image: float
    """As the forecast counts them."""
    left_out: list[str]
    """What these leave out."""
    peak_memory_gb: float | None
    """Of the GPU. None: it ran on a CPU."""

    @property
    def flops_per_second(self) -> float:
        """Of one process."""
        return self.images_per_second * self.flops_per_image


class Calibration(BaseModel):
    """All that was measured for a scale."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    measured: list[Measured] = []

    def of(self, kind: str) -> Measured | None:
        """That of a kind of training."""
        return next((one for one in self.measured if one.kind == kind), None)

    def speed(self, verb: str) -> float | None:
        """FLOP/s of a process in what was not measured: the median over the rule's trainings or, without any, over all."""
        for chosen in (list(self._whole(verb)), list(self._whole(None))):
            if chosen:
                return median(one.flops_per_second for one in chosen)
        return None

    def _whole(self, verb: str | None) -> Iterator[Measured]:
        """Those whose FLOPs leave nothing out."""
        return (one for one in self.measured if not one.left_out and (verb is None or one.verb == verb))

    @property
    def devices(self) -> list[str]:
        """Names of the devices it was measured on."""
        return list(dict.fromkeys(one.device for one in self.measured))


def place(scale: str) -> Path:
    """Where the calibration of a scale lies."""
    return RESULTS / scale / "calibration.json"


def read(path: Path) -> Calibration:
    """A calibration; an empty one if nothing was measured.

    Raises:
        UserError: the file is no calibration.
    """
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Calibration()
    except (OSError, ValidationError, ValueError):
        raise UserError(f"{path}: is not a calibration; delete it and run `dbot calibrate` again") from None


def said(one: Measured) -> str:
    """A measurement in words."""
    memory = "" if one.peak_memory_gb is None else f", {one.peak_memory_gb:.1f} GB of the GPU"
    flops = "" if one.left_out else f", {one.flops_per_second / TERA:.3g} TFLOP/s"
    return f"{one.job}: {one.images_per_second:,.4g} images/s{flops}, data wait {one.data_wait:.0%}, batch {one.batch}{memory}"


def merged(before: Calibration, now: list[Measured]) -> Calibration:
    """What was measured before, with what was measured now in its place."""
    renewed = {one.kind for one in now}
    return Calibration(measured=[*(one for one in before.measured if one.kind not in renewed), *now])


def write(calibration: Calibration, path: Path) -> None:
    """Write it whole."""
    write_whole(path, (json.dumps(calibration.model_dump(), indent=1) + "\n").encode())
