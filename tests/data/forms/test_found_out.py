"""Forms that nobody names, by all that lies at the root; and folders as people have them, in the forms too."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.data.layouts.reader import READERS, found_out, read_listing
from dbot.params.datasets import Dataset, Split
from tests.data.forms.conftest import jpeg, write, zipped

Files = dict[str, bytes]
Picture = Callable[..., Path]

TINY = {
    **{f"train/n{label}/images/n{label}_0.JPEG": jpeg(label) for label in (1, 2)},
    **{f"train/n{label}/n{label}_boxes.txt": b"" for label in (1, 2)},
    "val/images/val_0.JPEG": jpeg(3),
    "val/val_annotations.txt": b"val_0.JPEG\tn1\t0\t0\t9\t9\n",
}
FOLDERS = {f"{part}/{name}/a.jpg": jpeg(number) for number, part in enumerate(("train", "val")) for name in ("cat", "dog")}
FLAT_VALIDATION = {"train/cat/a.jpg": jpeg(0), "train/dog/b.jpg": jpeg(1), "val/c.jpg": jpeg(2)}
SOLUTION = {"LOC_val_solution.csv": b"ImageId,PredictionString\nc,cat 1 2 3 4\n"}


def of(root: Path, **settings: object) -> Dataset:
    return Dataset.model_validate({"root": str(root), **settings})


def test_images_without_labels_are_tried_last() -> None:
    assert list(READERS)[-1] == "images"


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (TINY, "tiny-imagenet"),
        (FOLDERS, "imagefolder"),
        (FLAT_VALIDATION | SOLUTION, "imagenet-kaggle"),
        (FLAT_VALIDATION, "images"),
        ({"a/b/c.jpg": jpeg(0)}, "images"),
    ],
)
def test_layouts_are_found_out(tmp_path: Path, files: Files, layout: str) -> None:
    dataset = of(write(tmp_path / "set", files))
    assert found_out("it", dataset).layouts == [layout]
    assert read_listing("it", dataset) == read_listing("it", found_out("it", dataset))


def test_those_in_archives_too(tmp_path: Path) -> None:
    zipped(tmp_path / "tiny-imagenet-200.zip", {f"tiny-imagenet-200/{name}": content for name, content in TINY.items()})
    layout, listing = read_listing("it", of(tmp_path))
    assert (layout, listing.below, len(listing.packed)) == ("tiny-imagenet", "tiny-imagenet-200", 3)


def test_labels_one_level_down_are_read_where_nothing_else_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "tiny", TINY)
    layout, listing = read_listing("it", of(tmp_path))
    assert (layout, listing.below) == ("tiny-imagenet", "tiny")
    assert "one level down, in tiny/" in capsys.readouterr().out


def test_images_beside_such_a_folder_are_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "tiny", TINY)
    write(tmp_path / "more", {"a.jpg": jpeg(9)})
    layout, listing = read_listing("it", of(tmp_path))
    assert (layout, len(listing.samples["train"])) == ("images", 4)


def test_what_is_passed_over_in_a_form_is_said_in_one_line_a_folder(tmp_path: Path, picture: Picture) -> None:
    root = write(tmp_path / "set", TINY)
    picture(root / "train/n1/@eaDir/x.jpg")
    (root / "train/n1/itself").symlink_to("../../train")
    listing = read_listing("it", of(root))[1]
    assert len(listing.samples["train"]) == 2
    assert len(listing.left_out) == 1
    assert listing.left_out[0].startswith(f"{root}/train: left out: 2 .txt; hidden or a system's own: 1 (n1/@eaDir)")


def test_shards_behind_a_link_are_read_once(tmp_path: Path) -> None:
    from dbot.data.layouts.shards import shard_names

    write(tmp_path, {"data/train-0.tar": b"", "data/.cache/train-1.tar": b"", "@eaDir/train-2.tar": b""})
    (tmp_path / "data/again").symlink_to(".")
    (tmp_path / "linked").symlink_to("data")
    assert shard_names(tmp_path, ".tar") == ["data/train-0.tar"]


def test_parts_that_shards_name_are_found_out(tmp_path: Path) -> None:
    from tests.data.forms.test_classes import TestWebDataset

    shards = {part: TestWebDataset.shard([(0, jpeg(number)), (1, jpeg(number + 1))]) for number, part in enumerate(("train", "test"))}
    root = write(tmp_path / "set", {f"{part}-0.tar": shard for part, shard in shards.items()})
    found = found_out("it", of(root))
    assert (found.layouts, found.validation) == (["webdataset"], Split(images="test"))
