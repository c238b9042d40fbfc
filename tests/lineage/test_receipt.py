"""Properties of receipts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.digest import canonical
from dbot.base.errors import UserError
from dbot.lineage import executions
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import Attempt
from dbot.lineage.receipt import Artifact, InputReceipt

TEXT = st.text(max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(TEXT, below, max_size=2),
    max_leaves=6,
)
NUMBERS = st.integers(0, 10**12) | st.floats(allow_nan=False, allow_infinity=False)
SAID = st.fixed_dictionaries(
    {
        "verb": TEXT,
        "scale": TEXT,
        "key": st.dictionaries(TEXT, TEXT, max_size=2),
        "settings": st.dictionaries(TEXT, PLAIN, max_size=3),
        "inputs": st.dictionaries(TEXT, st.builds(InputReceipt, path=TEXT, id=TEXT), max_size=2),
        "artifacts": st.dictionaries(TEXT, st.builds(Artifact, sha256=TEXT, bytes=st.integers(0, 10**12)), max_size=2),
        "results": st.dictionaries(TEXT, NUMBERS | TEXT, max_size=3),
        "code": TEXT,
        "environment": st.dictionaries(TEXT, TEXT, max_size=2),
        "device": TEXT,
        "processes": st.integers(1, 64),
    }
)
ATTEMPTS = st.builds(Attempt, started=TEXT, seconds=st.floats(0, 1e9), host=TEXT, slurm_job=st.none() | TEXT)
CIRCUMSTANCES = st.fixed_dictionaries(
    {
        "receipt": TEXT,
        "name": st.uuids().map(lambda name: name.hex),
        "ended": TEXT,
        "attempts": st.lists(ATTEMPTS, min_size=1, max_size=2),
        "device_hours": st.floats(0, 1e6),
        "command": st.lists(TEXT, max_size=3),
        "commit": st.none() | TEXT,
        "changes": st.none() | TEXT,
        "epochs": st.lists(st.dictionaries(TEXT, st.floats(0, 1e6), max_size=2), max_size=2),
    }
)


@given(said=SAID)
def test_what_is_written_is_read(said: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("receipt") / "receipt.json"
    made = receipts.make(**said)
    receipts.write(made, path)
    assert receipts.read(path) == made


@given(said=CIRCUMSTANCES)
def test_an_execution_that_is_written_is_read(said: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    made = executions.make(**said)
    path = executions.write(made, tmp_path_factory.mktemp("execution") / "receipt.json")
    assert executions.read(path) == made


@given(one=SAID, other=SAID)
def test_another_receipt_has_another_id(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = receipts.make(**one), receipts.make(**other)
    assert (first.id == second.id) == (canonical(first.model_dump()) == canonical(second.model_dump()))


def _leaves(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(data, dict | list) and data:
        pairs = data.items() if isinstance(data, dict) else enumerate(data)
        return [leaf for key, below in pairs for leaf in _leaves(below, (*path, key))]
    return [path]


@given(said=SAID, data=st.data())
def test_any_change_of_a_receipt_is_noticed(said: dict[str, Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever leaf of the file is replaced by a text that was not there."""
    path = tmp_path_factory.mktemp("receipt") / "receipt.json"
    receipts.write(receipts.make(**said), path)
    _spoil(path, data)
    with pytest.raises(UserError, match=r"receipt\.json: (was changed after it was written|is not a receipt|was written by another)"):
        receipts.read(path)


@given(said=CIRCUMSTANCES, data=st.data())
def test_any_change_of_an_execution_is_noticed(said: dict[str, Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = executions.write(executions.make(**said), tmp_path_factory.mktemp("execution") / "receipt.json")
    _spoil(path, data)
    with pytest.raises(UserError, match=r"\.json: (was changed after it was written|is not an execution|was written by another)"):
        executions.read(path)


def _spoil(path: Path, data: st.DataObject) -> None:
    content = json.loads(path.read_text())
    where = data.draw(st.sampled_from(_leaves(content)))
    holder = content
    for key in where[:-1]:
        holder = holder[key]
    holder[where[-1]] = "another text"
    path.write_text(json.dumps(content))


@given(said=SAID, data=st.data())
def test_any_flipped_bit_of_a_receipt_is_noticed(
    said: dict[str, Any], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("receipt") / "receipt.json"
    receipts.write(receipts.make(**said), path)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(UserError):
        receipts.read(path)


def test_git_may_change_the_ends_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    said = {
        "verb": "x",
        "scale": "x",
        "key": {},
        "settings": {},
        "inputs": {},
        "artifacts": {},
        "results": {},
        "code": "",
        "environment": {},
    }
    made = receipts.make(**said, device="cpu", processes=1)
    receipts.write(made, path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert receipts.read(path) == made


def test_a_receipt_of_another_version_says_so(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps({"format": "dbot receipt 1", "proof": {}}))
    with pytest.raises(UserError, match=r"was written by another version of dbot \('dbot receipt 1', this one reads 'dbot receipt 2'\)"):
        receipts.read(path)
