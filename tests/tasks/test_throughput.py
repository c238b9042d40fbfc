"""Throughput is measured with the loop itself, and leaves nothing behind."""

from pathlib import Path

import pytest

from dbot.params.document import Params
from dbot.tasks.throughput import STEPS, throughput
from tests.train.small import ALONE, Noise, execution_like, recipe_like, task_of

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_few_steps_are_timed_and_forgotten(
    demo: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    task = task_of(recipe_like(demo.recipes.pretrain["asymmetric"], batch_size=8), Noise(3))  # fewer images than a batch
    found = throughput(task, ALONE, execution_like(demo.execution), batch_per_process=4, seconds=0.01)
    assert found.images_per_second > 0
    assert 0 <= found.data_wait <= 1
    assert (found.batch, found.peak_memory_gb) == (4, None)
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == ""


def test_it_takes_as_long_as_it_is_told(demo: Params) -> None:
    """Counted in steps: each look at the clock is `STEPS` of them."""
    seen: list[tuple[int, int]] = []

    class Counted(Noise):
        def __getitem__(self, where: tuple[int, int]):
            seen.append(where)
            return super().__getitem__(where)

    task = task_of(recipe_like(demo.recipes.pretrain["asymmetric"]), Counted(4))
    throughput(task, ALONE, execution_like(demo.execution), batch_per_process=4, seconds=1e-9)
    assert len(seen) == 2 * STEPS * 4  # a warm-up, and one look
    assert {number for _, number in seen} == set(range(4))
