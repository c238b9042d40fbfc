"""What `dbot calibrate` has measured, and how long a device takes for a job's work by that, by what is given, or by its peak."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict, ValidationError

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.jobs.work import Work
from dbot.params.scales import HardwareKind
from dbot.plan import RESULTS, Job

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


class Basis(StrEnum):
    """What a time is known from, the best first."""

    MEASURED = "measured"
    """The job has run."""
    CORRECTED = "corrected"
    """Forecast, and corrected by what other jobs of its rule took."""
    GIVEN = "given"
    CALIBRATED = "calibrated"
    ASSUMED = "assumed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rates:
    """One kind of hardware, and what was measured."""

    hardware: HardwareKind
    calibration: Calibration

    def seconds(self, job: Job, work: Work) -> tuple[float, Basis] | None:
        """Seconds of one device for a job's work, start-up aside; None: there is no telling.

        One pass tells the other's speed: images that only go forward take as many FLOPs a second as those that are trained.
        """
        if work.training is None and work.inference is None:
            return None
        if (given := self._given(job)) is not None:
            return self._at(work, given), Basis.GIVEN
        if (measured := self.calibration.of(work.kind)) is not None:
            # The FLOPs tell more than the images, which are of one shape where they were measured; but not if some are left out.
            seconds = self._at(work, measured.images_per_second) if measured.left_out else work.flops / measured.flops_per_second
            return seconds, Basis.CALIBRATED
        if (speed := self.calibration.speed(job.verb)) is not None:
            return work.flops / speed, Basis.CALIBRATED
        return self._assumed(job, work)

    def _at(self, work: Work, images_per_second: float) -> float:
        """Seconds for the images of a training, or of a measurement, and for those that only go forward beside a training."""
        leading = work.training or work.inference
        assert leading is not None
        flops = leading.flops.total
        return leading.images / images_per_second * (work.flops / (leading.images * flops) if flops and leading.images else 1.0)

    def _given(self, job: Job) -> float | None:
        sizes = self.hardware.images_per_second.get(job.verb, {})
        return sizes.get(job.architecture, sizes.get("any"))

    def _assumed(self, job: Job, work: Work) -> tuple[float, Basis] | None:
        share = self.hardware.share.get(job.verb, self.hardware.share.get("any"))
        parts = [(each.images, each.flops) for each in (work.training, work.inference) if each is not None]
        needed = {name for _, flops in parts for name, value in flops.by_precision.items() if value}
        peaks: Mapping[str, float] = {str(name): peak for name, peak in self.hardware.peak_tflops.items()}
        if share is None or not needed <= set(peaks):
            return None
        seconds = sum(
            images * flops.by_precision.get(name, 0.0) / (peaks[name] * TERA * share) for images, flops in parts for name in needed
        )
        return seconds, Basis.ASSUMED
