"""A job that ran out of memory asks for more; one that failed of something else does not."""

from pathlib import Path

import pytest

from dbot.cluster.preemption import memory_for_attempt, out_of_memory


@pytest.mark.parametrize(
    ("last_line", "expected"),
    [
        (f"dbot distill: was killed (status 137): {out_of_memory('distill', 64)}", 96),
        (f"dbot distill: was killed (status 137): {out_of_memory('distill', 96.5)}", 144.8),
        (f"dbot distill: was killed (status 137): {out_of_memory('distill', 16)}", 64),
        ("dbot distill: the loss stopped being finite", 64),
        ("", 64),
    ],
)
def test_the_last_line_of_the_log_decides(tmp_path: Path, last_line: str, expected: float) -> None:
    log = tmp_path / "job.log"
    log.write_text(f"epoch 1\n{last_line}\n\n")
    assert memory_for_attempt(64, 1.5, 2, log) == expected
    assert memory_for_attempt(64, 1.5, 1, log) == 64, "a new run of Snakemake begins with what params.yaml says"


def test_without_a_log_nothing_is_known(tmp_path: Path) -> None:
    assert memory_for_attempt(64, 1.5, 3, tmp_path / "none.log") == 64
