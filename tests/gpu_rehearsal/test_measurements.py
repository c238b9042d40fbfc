"""The paper's measurements on a GPU that is not there: devices, waits, float64 and memory."""

from collections.abc import Callable
from functools import partial

import pytest

from dbot.plan import Plan
from tests.gpu_rehearsal import measurements
from tests.gpu_rehearsal.allowed import MEASURED_DOUBLES, MEASURED_WAITS, strangers
from tests.gpu_rehearsal.peaks import budget
from tests.gpu_rehearsal.pretended import why_not
from tests.gpu_rehearsal.trainings import Rehearsals, Seen

pytestmark = [pytest.mark.rehearsal, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

MEASUREMENTS: dict[str, Callable[[Plan], Seen]] = {
    "classifier of B": partial(measurements.classification, row="B-B"),
    "symmetric classifier of H at 448 px": partial(measurements.classification, row="H448-CLIP"),
    "detector of L": partial(measurements.detection, row="L-L"),
    "segmenter of L": partial(measurements.segmentation, row="L-CLIP"),
    "probes of H": partial(measurements.probing, row="H-H"),
    "analysis of H": partial(measurements.analysis, row="H-H"),
    "symmetric analysis of H": partial(measurements.analysis, row="H-CLIP"),
    "comparison of H with H": partial(measurements.comparison, row="H-H", other="H-CLIP"),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_measurement_of_the_papers_scale(paper_rehearsals: Rehearsals, name: str) -> None:
    seen = MEASUREMENTS[name](paper_rehearsals.plan)
    assert not strangers(seen.waits, MEASURED_WAITS)
    assert not strangers(seen.doubles, MEASURED_DOUBLES)
    assert seen.peak < budget(paper_rehearsals.plan), "it takes more memory than the device has; lower batch_per_process"
