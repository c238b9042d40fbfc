from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.lineage.history import read_history, without_speed, write_history

VALUES = st.none() | st.floats(allow_nan=False)
ROWS = st.lists(st.fixed_dictionaries({"loss": VALUES}, optional={"accuracy": VALUES, "data wait": VALUES}), max_size=4)


@given(ROWS)
def test_floats_come_back_bit_by_bit(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, float | None]]) -> None:
    path = tmp_path_factory.mktemp("history") / "metrics.csv"
    history = [{"epoch": epoch, **row} for epoch, row in enumerate(rows)]
    write_history(path, history)
    found = read_history(path)
    columns = {column for row in history for column in row}
    assert found == [{column: row.get(column) for column in columns} for row in history]
    before = path.read_bytes()
    write_history(path, found)
    assert path.read_bytes() == before


def test_epoch_comes_first_and_a_missing_value_is_an_empty_cell(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_history(path, [{"loss": 0.1, "epoch": 0}, {"epoch": 1, "loss": float("nan"), "accuracy": 5}])
    assert path.read_text() == "epoch,loss,accuracy\n0,0.1,\n1,nan,5.0\n"


@pytest.mark.parametrize("text", ["epoch,loss\n0,high\n", "epoch,loss\n0\n", "epoch\n0,1\n"])
def test_what_is_no_history_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"metrics\.csv: is not a table of metrics"):
        read_history(path)


def test_a_missing_history_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_history(tmp_path / "metrics.csv")


def test_how_fast_an_epoch_went_is_told_apart_from_what_came_out() -> None:
    rows = [{"epoch": 1, "loss": 0.5, "images_per_second": 40.0, "data_wait": 0.0}, {"epoch": 2, "loss": 0.25, "top1": None}]
    measured, epochs = without_speed(rows)
    assert measured == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "top1": None}]
    assert epochs == [{"epoch": 1.0, "images_per_second": 40.0, "data_wait": 0.0}, {"epoch": 2.0}]
    assert without_speed([]) == ([], [])
