"""Properties of receipts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.digest import canonical
from dbot.base.errors import UserError
from dbot.record import receipt as receipts
from dbot.record.receipt import Artifact, Attempt, Circumstances, Identity, Input

TEXT = st.text(max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(TEXT, below, max_size=2),
    max_leaves=6,
)
NUMBERS = st.integers(0, 10**12) | st.floats(allow_nan=False, allow_infinity=False)
IDENTITIES = st.builds(
    Identity,
    verb=TEXT,
    scale=TEXT,
    key=st.dictionaries(TEXT, TEXT, max_size=2),
    settings=st.dictionaries(TEXT, PLAIN, max_size=3),
    inputs=st.dictionaries(TEXT, st.builds(Input, path=TEXT, id=TEXT), max_size=2),
    artifacts=st.dictionaries(TEXT, st.builds(Artifact, sha256=TEXT, bytes=st.integers(0, 10**12)), max_size=2),
    results=st.dictionaries(TEXT, NUMBERS | TEXT, max_size=3),
    code=TEXT,
    environment=st.dictionaries(TEXT, TEXT, max_size=2),
    device=TEXT,
    processes=st.integers(1, 64),
)
ATTEMPTS = st.builds(Attempt, started=TEXT, seconds=st.floats(0, 1e9), host=TEXT, slurm_job=st.none() | TEXT)
CIRCUMSTANCES = st.builds(
    Circumstances,
    ended=TEXT,
    attempts=st.lists(ATTEMPTS, min_size=1, max_size=2),
    device_hours=st.floats(0, 1e6),
    command=st.lists(TEXT, max_size=3),
    commit=st.none() | TEXT,
    changes=st.none() | TEXT,
    execution=TEXT,
    logs=st.dictionaries(TEXT, st.builds(Artifact, sha256=TEXT, bytes=st.integers(0, 10**12)), max_size=1),
    sealed_inputs=st.dictionaries(TEXT, TEXT, max_size=2),
)


@given(identity=IDENTITIES, circumstances=CIRCUMSTANCES)
def test_what_is_written_is_read(identity: Identity, circumstances: Circumstances, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("receipt") / "receipt.json"
    made = receipts.make(identity, circumstances)
    receipts.write(made, path)
    assert receipts.read(path) == made


@given(identity=IDENTITIES, first=CIRCUMSTANCES, second=CIRCUMSTANCES)
def test_the_id_knows_nothing_of_the_circumstances(identity: Identity, first: Circumstances, second: Circumstances) -> None:
    one, other = receipts.make(identity, first), receipts.make(identity, second)
    assert one.id == other.id
    assert (one.seal == other.seal) == (json.dumps(first.model_dump()) == json.dumps(second.model_dump()) or first == second)


@given(one=IDENTITIES, other=IDENTITIES, circumstances=CIRCUMSTANCES)
def test_another_identity_has_another_id(one: Identity, other: Identity, circumstances: Circumstances) -> None:
    same = receipts.make(one, circumstances).id == receipts.make(other, circumstances).id
    assert same == (canonical(one.model_dump()) == canonical(other.model_dump()))


def _leaves(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(data, dict | list) and data:
        pairs = data.items() if isinstance(data, dict) else enumerate(data)
        return [leaf for key, below in pairs for leaf in _leaves(below, (*path, key))]
    return [path]


@given(identity=IDENTITIES, circumstances=CIRCUMSTANCES, data=st.data())
def test_any_change_is_noticed(
    identity: Identity, circumstances: Circumstances, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever leaf of the file is replaced by a text that was not there."""
    path = tmp_path_factory.mktemp("receipt") / "receipt.json"
    receipts.write(receipts.make(identity, circumstances), path)
    content = json.loads(path.read_text())
    where = data.draw(st.sampled_from(_leaves(content)))
    holder = content
    for key in where[:-1]:
        holder = holder[key]
    holder[where[-1]] = "another text"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"receipt\.json: (was changed after it was written|is not a receipt|was written by another)"):
        receipts.read(path)


def test_a_receipt_of_another_version_says_so(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps({"format": "dbot receipt 2", "proof": {}}))
    with pytest.raises(UserError, match=r"was written by another version of dbot \('dbot receipt 2', this one reads 'dbot receipt 1'\)"):
        receipts.read(path)
