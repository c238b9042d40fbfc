"""How long a device takes for a job's work, and what that is known from.

In this order: what the user says of the hardware (`given`), what `dbot calibrate` measured of the
very kind of training or of others (`calibrated`), a share of the hardware's peak (`assumed`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dbot.forecast.calibration import TERA, Calibration
from dbot.jobs.work import Work
from dbot.params.hardware import HardwareKind
from dbot.plan import Job


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
