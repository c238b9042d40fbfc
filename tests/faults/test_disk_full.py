"""A disk that is really full: a small file system in memory, in a namespace of its own, under the folder of states."""

import re
import subprocess
from pathlib import Path

import pytest

from dbot.lineage import receipt as receipts
from tests.e2e.project import Copy
from tests.faults.works import SMALLER

pytestmark = [pytest.mark.faults, pytest.mark.slow]

MOUNT = "mount -t tmpfs -o size={size} none state"


def mounts() -> bool:
    """Whether this user may mount in a namespace of its own."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not mounts(), reason="namespaces are not permitted here")
@pytest.mark.parametrize("patience", [0, 120])
def test_a_full_disk_costs_nothing_that_was_computed(tmp_path: Path, patience: int) -> None:
    copy = Copy.made(tmp_path / "project")
    copy.change({**SMALLER, "execution": {**SMALLER["execution"], "disk_patience_seconds": patience}})
    job = copy.plan.distill("B-B", 1)
    for needed in copy.plan.jobs([job]):
        copy.run(*needed.command.split())
    whole = receipts.read(copy.folder / job.receipt).id
    for name in (job.receipt.name, *job.artifacts):
        (copy.folder / job.folder / name).unlink()
    state = max((copy.folder / "state").rglob("step-*.pt"))
    size = state.stat().st_size
    for path in state.parent.iterdir():
        path.unlink()

    # Room for two states, but not for the third, which is written before the first is dropped.
    full, wide = MOUNT.format(size=2 * size + size // 2), f"mount -o remount,size={20 * size} state"
    if patience:
        script = f"{full}; (while ! grep -q 'No space left' said; do sleep 0.2; done; {wide}) & {job.command} > said 2>&1; echo status $?"
    else:
        script = (
            f"{full}; {job.command} > said 2>&1; echo status $?; find state -name 'step-*.pt' | wc -l; "
            f"{wide}; {job.command} >> said 2>&1; echo status $?"
        )
    done = copy.run("unshare", "--user", "--map-root-user", "--mount", "bash", "-c", f"mkdir -p state; touch said; {script}; wait")
    said = (copy.folder / "said").read_text()
    assert "Traceback" not in said, said
    if patience:
        assert done.stdout.split() == ["status", "0"], said
        assert "No space left on device; trying again in 1 s" in said
    else:
        assert done.stdout.split() == ["status", "2", "2", "status", "0"], said
        (line,) = [line for line in said.splitlines() if line.startswith("dbot distill: ")]
        assert re.fullmatch(r"dbot distill: state/\S+: no space left on device; free some space, and run this again", line)
        assert "goes on after step" in said
    assert receipts.read(copy.folder / job.receipt).id == whole
