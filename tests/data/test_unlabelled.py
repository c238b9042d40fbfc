"""Images without labels, and declarations that say little."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from dbot.base.errors import UserError
from dbot.data.declaration import completed
from dbot.data.layouts.listing import Listing
from dbot.data.layouts.reader import found_out, read_listing
from dbot.data.manifest import read_manifest
from dbot.data.prepare import prepare
from dbot.params.datasets import Dataset, Split

Picture = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path, picture: Picture) -> Path:
    root = tmp_path / "photos"
    for number, name in enumerate(("b.png", "2020/a.png", "2020/deep/c.jpg", "2021/d.png")):
        picture(root / name, seed=number)
    return root


def declared(root: Path, **settings: object) -> Dataset:
    return Dataset.model_validate({"title": "photos", "root": str(root), **settings})


def listed(root: Path, **settings: object) -> Listing:
    return read_listing("photos", declared(root, layouts=["images"], **settings))[1]


def paths(listing: Listing, part: str = "train") -> list[str]:
    return [sample.path for sample in listing.samples[part]]  # type: ignore[index]


class TestImages:
    def test_every_image_of_the_root_is_trained_on(self, photos: Path) -> None:
        found = listed(photos)
        assert paths(found) == ["2020/a.png", "2020/deep/c.jpg", "2021/d.png", "b.png"]
        assert {sample.label for sample in found.samples["train"]} == {-1}
        assert (found.classes, found.samples["validation"]) == ([], [])

    @pytest.mark.parametrize("ending", [".png", "_mask.png"])
    def test_label_maps_among_them_are_warned_of(self, tmp_path: Path, picture: Picture, ending: str) -> None:
        for number in range(3):
            picture(tmp_path / f"{number}.jpg", seed=number)
            picture(tmp_path / f"{number}{ending}", seed=10 + number)
        (said,) = listed(tmp_path).left_out
        assert said.startswith(f"warning: {tmp_path}: 3 of 6 images look like label maps, as 0{ending} of 0.jpg")

    def test_several_folders_are_joined_by_a_plus(self, photos: Path) -> None:
        assert paths(listed(photos, train=Split(images="2021+2020/deep"))) == ["2021/d.png", "2020/deep/c.jpg"]

    def test_folders_in_one_another_are_read_once(self, photos: Path) -> None:
        assert len(paths(listed(photos, train=Split(images=".+2020")))) == 4

    def test_folder_with_a_plus_in_its_name_is_itself(self, photos: Path) -> None:
        (photos / "2021").rename(photos / "a+b")
        assert paths(listed(photos, train=Split(images="a+b"))) == ["a+b/d.png"]

    def test_list_names_paths_below_the_root_in_its_order(self, photos: Path) -> None:
        (photos / "some.txt").write_text(f"b.png\r\n\n./2020/a.png\n{photos}/2021/d.png\nb.png\n", encoding="utf-8-sig")
        found = listed(photos, train=Split(images="some.txt"))
        assert paths(found) == ["b.png", "2020/a.png", "2021/d.png"]
        assert "1 images of train that are named again" in found.left_out[0]

    @pytest.mark.parametrize("line", ["../a.png", "/etc/a.png"])
    def test_list_may_not_lead_out_of_the_root(self, photos: Path, line: str) -> None:
        (photos / "some.txt").write_text(f"b.png\n{line}\n")
        with pytest.raises(UserError, match=r"some.txt:2: .*does not lie below"):
            listed(photos, train=Split(images="some.txt"))

    def test_a_stated_validation_part_is_not_trained_on(self, photos: Path) -> None:
        found = listed(photos, validation=Split(images="2020"))
        assert paths(found) == ["2021/d.png", "b.png"]
        assert paths(found, "validation") == ["2020/a.png", "2020/deep/c.jpg"]

    def test_parts_that_share_images_are_refused(self, photos: Path) -> None:
        with pytest.raises(UserError, match=r"is an image of both parts \(2 are\)"):
            listed(photos, train=Split(images="."), validation=Split(images="2020"))

    def test_folder_that_is_not_there_is_named(self, photos: Path) -> None:
        with pytest.raises(UserError, match="lists of their paths: 2019"):
            listed(photos, train=Split(images="2019"))

    def test_folder_without_images_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="train has no images"):
            listed(tmp_path)

    def test_manifest_has_no_classes_and_no_validation(self, photos: Path, tmp_path: Path) -> None:
        made = prepare("photos", declared(photos, layouts=["images"]), tmp_path / "out", tmp_path / "copy", 1, 9e9)
        assert read_manifest(tmp_path / "out") == made
        assert (made.counts, made.classes) == ({"train": 4, "validation": 0}, [])
        assert len(made.samples("validation")) == 0
        with pytest.raises(UserError, match="finetune needs the classes of its images, and 'photos' has none"):
            made.require_labels("finetune")


class TestFoundOut:
    def layout(self, root: Path) -> tuple[list[str], str]:
        found = found_out("it", declared(root))
        return found.layouts, found.validation.images  # type: ignore[return-value]

    def test_class_folders_in_two_parts_are_an_imagefolder(self, folders: Path) -> None:
        assert self.layout(folders) == (["imagefolder"], "val")
        assert read_listing("it", declared(folders))[0] == "imagefolder"

    @pytest.mark.parametrize("name", ["valid", "Validation", "test"])
    def test_validation_is_found_under_its_usual_names(self, folders: Path, name: str) -> None:
        (folders / "val").rename(folders / name)
        assert self.layout(folders) == (["imagefolder"], name)
        assert len(read_listing("it", declared(folders))[1].samples["validation"]) == 2

    def test_a_stated_folder_is_never_exchanged(self, folders: Path) -> None:
        (folders / "val").rename(folders / "test")
        with pytest.raises(UserError, match=r"datasets\.it needs"):
            read_listing("it", declared(folders, layouts=["imagefolder"], validation=Split(images="val")))

    def test_what_has_no_labels_is_read_without_them(self, photos: Path, folders: Path) -> None:
        assert self.layout(photos)[0] == ["images"]
        shutil.rmtree(folders / "val")
        assert self.layout(folders)[0] == ["images"]
        assert len(read_listing("it", declared(folders))[1].samples["train"]) == 6

    def test_flat_folders_of_parts_have_no_labels(self, tmp_path: Path, picture: Picture) -> None:
        picture(tmp_path / "train/a.png")
        picture(tmp_path / "val/b.png", seed=1)
        found = read_listing("it", declared(tmp_path))
        assert found[0] == "images"
        assert paths(found[1]) == ["train/a.png", "val/b.png"]

    def test_stated_annotations_are_never_passed_over(self, folders: Path) -> None:
        with pytest.raises(UserError, match=r"datasets\.it needs"):
            read_listing("it", declared(folders, train=Split(images="train", annotations="gone.json")))

    def test_files_that_name_the_parts_need_no_declaration_of_them(self, tmp_path: Path) -> None:
        for name, labels in (("data_batch_1", [0, 1]), ("test_batch", [1])):
            (tmp_path / name).write_bytes(pickle.dumps({"data": np.zeros((len(labels), 3072), np.uint8), "labels": labels}, 2))
        for number in range(2, 6):
            shutil.copy(tmp_path / "data_batch_1", tmp_path / f"data_batch_{number}")
        (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": ["plane", "cat"]}))
        layout, found = read_listing("it", declared(tmp_path))
        assert (layout, len(found.samples["validation"])) == ("cifar", 1)


class TestCompleted:
    """What `dbot prepare` prints, to be pasted."""

    def text(self, dataset: Dataset, folder: Path) -> str:
        made = prepare("it", dataset, folder / "out", folder / "copy", 1, 9e9)
        return completed("it", dataset, found_out("it", dataset), made)

    def test_it_declares_the_same_set(self, folders: Path, tmp_path: Path) -> None:
        (folders / "val").rename(folders / "valid")
        dataset = declared(folders, short_side=4)
        pasted = Dataset.model_validate(yaml.safe_load(self.text(dataset, tmp_path))["datasets"]["it"])
        assert (pasted.validation, pasted.classes, pasted.short_side) == (Split(images="valid", count=2), 2, 4)
        assert read_listing("it", pasted) == read_listing("it", dataset)
        assert self.text(pasted, tmp_path) == ""

    @pytest.mark.parametrize("parts", [{}, {"validation": Split(images="2020")}, {"train": Split(images="2021")}])
    def test_images_without_labels_too(self, photos: Path, tmp_path: Path, parts: dict[str, Split]) -> None:
        dataset = declared(photos, **parts)
        pasted = Dataset.model_validate(yaml.safe_load(self.text(dataset, tmp_path))["datasets"]["it"])
        assert read_listing("it", pasted) == read_listing("it", dataset)
