import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.data.manifest import MANIFEST, SAMPLES, Manifest, Row, content_digest, read_manifest, write_manifest

NAMES = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1)
ROWS = st.lists(
    st.builds(
        Row,
        st.sampled_from(["train", "validation"]),
        NAMES,
        st.integers(-1, 9),
        st.integers(0, 2**62),
        st.text("0123456789abcdef"),
        NAMES,
        st.just(""),
    ),
    min_size=1,
    unique_by=lambda row: (row.split, row.path),
)


def write(folder: Path, rows: list[Row], root: str = "data/a set") -> Manifest:
    return write_manifest(
        folder,
        rows,
        title="Täst",
        root=root,
        classes=["a"],
        licence="none",
        source="s",
        layout="imagefolder",
        annotation_files={},
        unreadable=["x.png"],
    )


@given(ROWS)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("it")
    written = write(folder, rows)
    read = read_manifest(folder)
    assert read == written
    assert read.root == Path("data/a set")
    for part in ("train", "validation"):
        samples = read.samples(part)
        expected = [row for row in rows if row.split == part]
        assert samples.paths.tolist() == [row.path for row in expected]
        assert samples.labels.tolist() == [row.label for row in expected]
        assert samples.annotations.tolist() == [row.annotation for row in expected]
        assert len(samples) == len(expected)


@given(ROWS, st.randoms())
def test_digest_knows_content_and_not_order(rows: list[Row], shuffle: random.Random) -> None:
    digest = content_digest(rows, ["a"], {})
    shuffled = list(rows)
    shuffle.shuffle(shuffled)
    assert content_digest(shuffled, ["a"], {}) == digest
    first = rows[0]
    for changed in (
        first._replace(digest=first.digest + "0"),
        first._replace(label=first.label + 1),
        first._replace(path=first.path + "x"),
    ):
        assert content_digest([changed, *rows[1:]], ["a"], {}) != digest
    assert content_digest(rows, ["b"], {}) != digest
    assert content_digest(rows, ["a"], {"train": "0"}) != digest


def test_digest_does_not_know_the_root(tmp_path: Path) -> None:
    rows = [Row("train", "a.png", 0, 1, "00", "", ""), Row("validation", "b.png", 0, 1, "00", "", "")]
    assert write(tmp_path / "a", rows, "/data").digest == write(tmp_path / "b", rows, "elsewhere").digest


def test_bytes_are_the_same_for_the_same_data(tmp_path: Path) -> None:
    rows = [Row("train", "a.png", 0, 1, "00", "", "")]
    for name in ("a", "b"):
        write(tmp_path / name, rows)
    for file in (MANIFEST, SAMPLES):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"root": 1})])
def test_what_is_no_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json: is not a manifest"):
        read_manifest(tmp_path)


def test_missing_manifest_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dbot prepare`"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("table", ["", "split\tpath\n", "split\tpath\tlabel\tbytes\tdigest\tannotation\tannotation_digest\ntrain\ta\n"])
def test_table_that_does_not_belong_is_named(tmp_path: Path, table: str) -> None:
    write(tmp_path, [Row("train", "a.png", 0, 1, "00", "", "")])
    (tmp_path / SAMPLES).write_text(table)
    with pytest.raises(UserError, match=r"samples\.tsv: is not the table"):
        read_manifest(tmp_path).samples("train")
