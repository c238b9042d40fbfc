"""`kill -9` at any moment of any kind of work: started again, it ends as if nothing had happened."""

import random
from contextlib import chdir
from pathlib import Path

import pytest

from tests.faults.works import Undisturbed, whole_receipts

EVERY = (
    *("generate", "prepare", "distill 1", "distill 2", "finetune", "evaluate", "probe", "analyse", "transfer"),
    *("detect", "evaluate det", "segment", "evaluate seg", "record", "table", "report", "sync"),
)
QUICK = ("distill 1",)
"""The rest is in `make test-faults`."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("faults") / "kills – im Süden")


@pytest.mark.parametrize(
    ("name", "kills"),
    [*((name, 1) for name in QUICK), *(pytest.param(name, 4, marks=[pytest.mark.faults, pytest.mark.slow]) for name in EVERY)],
)
def test_a_killed_work_ends_like_an_undisturbed_one(undisturbed: Undisturbed, tmp_path: Path, name: str, kills: int) -> None:
    """So many kills at a write, and so many at a moment."""
    work, draws = undisturbed.work(name), random.Random(f"{name} {kills}")
    dbot = undisturbed.before(name, tmp_path / "disturbed")
    at_writes = at_moments = 0
    for _ in range(4 * kills):
        if at_writes < kills:
            at_writes += dbot.killed_at(draws.randint(1, undisturbed.writes[name]), work.argv)
        if at_moments < kills:
            at_moments += dbot.killed_after(draws.uniform(0, undisturbed.seconds[name]), work.argv)
        whole_receipts_of(dbot.folder)
        if at_writes == at_moments == kills:
            break
        if draws.random() < 0.5:
            # Half of the time the next kill meets a new beginning, else what the last one left.
            dbot = undisturbed.before(name, tmp_path / "disturbed")
    print(f"{name}: {at_writes} kills at one of {undisturbed.writes[name]} writes, {at_moments} within {undisturbed.seconds[name]:.1f} s")
    assert at_writes == at_moments == kills, "it was killed as often as was meant"
    dbot.run(work.argv)
    with chdir(dbot.folder):
        assert work.outcome() == undisturbed.outcomes[name]


def whole_receipts_of(folder: Path) -> None:
    """Nothing half-written is taken for whole."""
    with chdir(folder):
        whole_receipts(folder)
