"""When nothing fits, the message begins with what was found, and with the line that helps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.data.layouts.reader import read_listing
from dbot.params.datasets import Dataset
from tests.data.forms.conftest import jpeg, tar_of, write, zipped

Declare = Callable[..., Dataset]


def refusal(dataset: Dataset) -> str:
    with pytest.raises(UserError) as error:
        read_listing("it", dataset)
    assert len(error.value.problems) == 1
    return str(error.value)


def test_an_empty_root(declare: Declare, tmp_path: Path) -> None:
    assert refusal(declare(tmp_path)).startswith(f"{tmp_path}: is empty; datasets.it needs folders of classes below")


def test_an_archive_that_has_to_be_unpacked(declare: Declare, tmp_path: Path) -> None:
    write(tmp_path, {"cifar-10-python.tar.gz": tar_of({"a": b"b"}, "w:gz")})
    assert "cifar-10-python.tar.gz is compressed as a whole, unpack it there" in refusal(declare(tmp_path, "cifar"))


def test_a_zip_of_something_else(declare: Declare, tmp_path: Path) -> None:
    zipped(tmp_path / "holiday.zip", {"a.jpg": jpeg(0)})
    assert "holds holiday.zip; holiday.zip holds 1 images in no form that is read from archives" in refusal(declare(tmp_path, "coco"))
    zipped(tmp_path / "holiday.zip", {"a.txt": b""})
    assert "what holiday.zip holds doesn't fit either" in refusal(declare(tmp_path, "coco"))


def test_an_archive_as_the_root(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"a.jpg": jpeg(0)})
    assert f"is a file; name the folder that it lies in, write datasets.it.root: {tmp_path}" in refusal(
        Dataset(root=str(tmp_path / "a.zip"))
    )


def test_an_empty_name_is_no_root() -> None:
    assert "datasets.it.root is empty" in refusal(Dataset(root=""))


def test_sets_that_lie_deeper_are_named_where_all_is_read_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {f"{part}/cat/a.jpg": jpeg(0) for part in ("train", "val")})
    read_listing("it", Dataset(root=str(tmp_path)))
    said = (
        f"{tmp_path / 'one'} looks like folders of classes: to have it alone, with its labels, write datasets.it.root: {tmp_path / 'one'}"
    )
    assert said in capsys.readouterr().out


def test_several_sets_one_level_down(declare: Declare, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, {f"{part}/cat/a.jpg": jpeg(0) for part in ("train", "val")})
    assert f"lies deeper, write datasets.it.root: {tmp_path / 'one'} or {tmp_path / 'two'}" in refusal(declare(tmp_path))


def test_a_root_that_is_too_deep(declare: Declare, tmp_path: Path) -> None:
    write(tmp_path / "set", {f"{part}/cat/a.jpg": jpeg(0) for part in ("train", "val")})
    assert f"lies above, write datasets.it.root: {tmp_path / 'set'}" in refusal(declare(tmp_path / "set/train"))


def test_another_kind_one_level_down(declare: Declare, tmp_path: Path) -> None:
    write(tmp_path / "set", {f"{part}/cat/a.jpg": jpeg(0) for part in ("train", "val")})
    said = refusal(declare(tmp_path, "cifar"))
    assert (
        f"since set/ looks like folders of classes, write datasets.it.layouts: [imagefolder] and datasets.it.root: {tmp_path}/set" in said
    )


def test_some_of_what_is_there_is_named(declare: Declare, tmp_path: Path) -> None:
    write(tmp_path, {f"{name}.txt": b"" for name in "abcdefg"})
    assert "holds a.txt, b.txt, c.txt, d.txt, e.txt, …; " in refusal(declare(tmp_path))


def test_a_damaged_archive_does_not_hide_the_message(declare: Declare, tmp_path: Path) -> None:
    write(tmp_path, {"train2017.zip": b"no zip"})
    assert "holds train2017.zip" in refusal(declare(tmp_path))
