"""A row on one process, on two and on four: the same steps, the same losses but for rounding, the same cell."""

import pytest

from dbot.lineage import receipt as receipts
from tests.e2e.project import Copy

VERBS = ("distill", "finetune", "evaluate")


def row_on(folder, processes: int) -> dict[str, receipts.Receipt]:
    """By job, what one row's cell and its control were made of."""
    copy = Copy.made(folder)
    sizes = {"any": {"gpus": processes}, "B": {"batch_per_process": 4}}
    copy.change({"resources": dict.fromkeys(VERBS, sizes)})
    copy.run("workflow/run", "--cores", "2", "row_B-B")
    return {job.name: receipts.read(copy.folder / job.receipt) for job in copy.plan.jobs(copy.plan.cells(["B-B"]))}


@pytest.mark.slow
def test_the_number_of_processes_changes_rounding_only(tmp_path):
    alone = row_on(tmp_path / "one", 1)
    for world in (2, 4):
        together = row_on(tmp_path / f"{world}", world)
        assert together.keys() == alone.keys()
        for name, receipt in together.items():
            one = alone[name].identity
            if one.verb not in VERBS:
                assert receipt.identity == one
                continue
            assert receipt.processes == world
            for figure, value in receipt.results.items():
                expected = one.results[figure]
                near = expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-3)
                assert value == near, f"{name}: {figure}"
