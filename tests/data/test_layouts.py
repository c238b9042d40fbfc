import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from dbot.base.errors import UserError
from dbot.data.layouts.cifar import read_plain_pickle
from dbot.data.layouts.listing import Listing, Sample
from dbot.data.layouts.reader import READERS, read_listing
from dbot.params.datasets import Dataset, LabelMaps, Layout, Split

Declare = Callable[..., Dataset]
Picture = Callable[..., Path]


def listed(dataset: Dataset) -> Listing:
    return read_listing("it", dataset)[1]


def refusal(dataset: Dataset) -> str:
    with pytest.raises(UserError) as error:
        read_listing("it", dataset)
    assert len(error.value.problems) == 1
    return str(error.value)


def test_every_layout_of_params_has_a_reader() -> None:
    assert set(READERS) == set(Layout.__args__)


class TestAnyLayout:
    def test_no_root_says_where_to_get_the_data_and_which_key(self, declare: Declare) -> None:
        assert (
            refusal(declare(None))
            == "datasets.it.root is null: get A set from its authors; then write its folder to datasets.it.root in params.yaml"
        )

    def test_missing_root_is_named(self, declare: Declare, tmp_path: Path) -> None:
        assert str(tmp_path / "gone") in refusal(declare(tmp_path / "gone"))

    def test_first_layout_that_fits_is_read(self, declare: Declare, folders: Path) -> None:
        dataset = declare(folders, layouts=["cifar", "imagefolder"])
        assert read_listing("it", dataset)[0] == "imagefolder"

    def test_nothing_that_fits_says_what_is_looked_for(self, declare: Declare, tmp_path: Path) -> None:
        said = refusal(declare(tmp_path, layouts=["cifar", "imagefolder"]))
        assert "data_batch_1" in said
        assert "folders of classes below train/ and val/" in said

    def test_another_count_is_refused_and_null_allows_it(self, declare: Declare, folders: Path) -> None:
        said = refusal(declare(folders, train=Split(images="train", count=7)))
        assert "train has 6 images, datasets.it.train.count says 7" in said
        assert "datasets.it.train.count: null" in said

    def test_limit_does_not_change_what_is_counted(self, declare: Declare, folders: Path) -> None:
        assert len(listed(declare(folders, train=Split(images="train", count=6), limit=2)).samples["train"]) == 6

    def test_another_number_of_classes_is_refused(self, declare: Declare, folders: Path) -> None:
        assert "holds 2 classes, datasets.it.classes says 3" in refusal(declare(folders, classes=3))

    @pytest.mark.parametrize("name", ["a\tb.png", "a\nb.png", os.fsdecode(b"a\xff.png")])
    def test_names_that_no_table_holds_are_refused(self, declare: Declare, folders: Path, picture: Picture, name: str) -> None:
        shutil.copy(picture(folders / "x.png"), folders / "train" / "cat" / name)
        assert "rename it" in refusal(declare(folders))


class TestImageFolder:
    def test_classes_are_the_sorted_folders(self, declare: Declare, folders: Path) -> None:
        found = listed(declare(folders))
        assert found.classes == ["cat", "wild döge"]
        assert found.samples["train"][:1] == [Sample("train/cat/ein bild 0.png", 0)]
        assert [sample.label for sample in found.samples["train"]] == [0, 0, 0, 1, 1, 1]

    def test_endings_of_any_case_nested_folders_and_links_are_read(self, declare: Declare, folders: Path, picture: Picture) -> None:
        image = picture(folders / "train/cat/deep/er/a.JPEG", format="JPEG")
        (folders / "train/cat/linked.Png").symlink_to(image)
        names = {Path(sample.path).name for sample in listed(declare(folders)).samples["train"]}
        assert {"a.JPEG", "linked.Png"} <= names

    def test_what_is_hidden_or_no_image_is_left_out(self, declare: Declare, folders: Path, picture: Picture) -> None:
        picture(folders / "train/cat/._ein bild 0.png")
        picture(folders / "train/.thumbnails/a.png")
        (folders / "train/cat/readme.txt").write_text("")
        assert len(listed(declare(folders)).samples["train"]) == 6

    def test_missing_part_is_named(self, declare: Declare, folders: Path) -> None:
        shutil.rmtree(folders / "val")
        assert "val/" in refusal(declare(folders))

    def test_class_without_image_is_named(self, declare: Declare, folders: Path) -> None:
        (folders / "train" / "empty").mkdir()
        assert str(folders / "train/empty") in refusal(declare(folders))

    def test_validation_class_unknown_to_training_is_named(self, declare: Declare, folders: Path, picture: Picture) -> None:
        picture(folders / "val/horse/a.png")
        assert str(folders / "val/horse") in refusal(declare(folders))

    @pytest.mark.parametrize(("ours", "theirs"), [("cat", "Cat"), ("k\u00e4fer", "ka\u0308fer")])
    def test_a_class_that_only_looks_the_same_is_told_apart(
        self, declare: Declare, tmp_path: Path, picture: Picture, ours: str, theirs: str
    ) -> None:
        picture(tmp_path / "train" / ours / "a.png")
        picture(tmp_path / "val" / theirs / "a.png")
        said = refusal(declare(tmp_path))
        assert f"{theirs}: no class of {tmp_path / 'train'} has this name, but for {ours}, which differs in capitals or in how" in said

    def test_images_without_class_folders_are_explained(self, declare: Declare, tmp_path: Path, picture: Picture) -> None:
        picture(tmp_path / "train/a.png")
        picture(tmp_path / "val/a.png")
        assert "holds no class folders" in refusal(declare(tmp_path))


class TestCoco:
    @pytest.fixture
    def dataset(self, tmp_path: Path, declare: Declare, picture: Picture) -> Dataset:
        splits = {}
        for part, numbers in (("train", (5, 2)), ("val", (9,))):
            for number in numbers:
                picture(tmp_path / part / f"{number}.png")
            content = {
                "images": [{"id": number, "file_name": f"{number}.png"} for number in numbers],
                "annotations": [{"id": 1, "image_id": numbers[0], "category_id": 90}],
                "categories": [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}],
            }
            (tmp_path / f"{part}.json").write_text(json.dumps(content))
            splits[part] = Split(images=part, annotations=f"{part}.json")
        return declare(tmp_path, "coco", train=splits["train"], validation=splits["val"])

    def change(self, dataset: Dataset, file: str, **sections: Any) -> None:
        path = Path(dataset.root or "") / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **sections}))

    def test_images_without_objects_are_read_and_category_ids_have_gaps(self, dataset: Dataset) -> None:
        found = listed(dataset)
        assert found.classes == ["person", "toothbrush"]
        assert found.samples["train"] == [Sample("train/2.png", -1, "2"), Sample("train/5.png", -1, "5")]
        assert found.annotation_files == {"train": "train.json", "validation": "val.json"}

    def test_stated_sizes_are_read(self, dataset: Dataset) -> None:
        images = [{"id": 2, "file_name": "2.png", "height": 6, "width": 8}, {"id": 5, "file_name": "5.png", "height": 0, "width": 8}]
        self.change(dataset, "train.json", images=images)
        assert [sample.size for sample in listed(dataset).samples["train"]] == [(6, 8), None]

    def test_other_categories_are_refused(self, dataset: Dataset) -> None:
        self.change(dataset, "val.json", categories=[{"id": 1, "name": "person"}, {"id": 90, "name": "comb"}])
        assert "other categories" in refusal(dataset)

    def test_two_images_of_one_id_are_refused(self, dataset: Dataset) -> None:
        self.change(dataset, "train.json", images=[{"id": 2, "file_name": "2.png"}, {"id": 2, "file_name": "5.png"}])
        assert "share an id (2)" in refusal(dataset)

    def test_two_images_of_one_file_are_named(self, dataset: Dataset) -> None:
        self.change(dataset, "train.json", images=[{"id": 2, "file_name": "2.png"}, {"id": 5, "file_name": "./2.png"}])
        assert "train.json: images 2 and 5 both name ./2.png; join their annotations, or drop one" in refusal(dataset)

    @pytest.mark.parametrize(
        ("named", "said"),
        [
            ("train/{}", "train/2.png is there, so they are named from the root on: write datasets.it.train.images: ."),
            ("train\\{}", "train/2.png is there: write their names from train/ on, with /, as 2.png"),
            ("/home/me/set/train/{}", "train/2.png is there: write their names from train/ on, with /, as 2.png"),
            ("{}.PNG", "train/2.png is there, which differs in capitals or in how Unicode writes its letters: rename one of the two"),
            ("other{}", "such as other2.png; get the images, or mend datasets.it.train.images"),
        ],
    )
    def test_where_no_image_is_there_a_line_says_where_they_are(self, dataset: Dataset, named: str, said: str) -> None:
        self.change(
            dataset, "train.json", images=[{"id": n, "file_name": named.format(f"{n}.png").replace(".png.PNG", ".PNG")} for n in (2, 5)]
        )
        line = refusal(dataset)
        assert "train.json: none of the 2 images that it names is below" in line
        assert said in line

    def test_images_may_be_named_from_the_root_on(self, dataset: Dataset) -> None:
        self.change(dataset, "train.json", images=[{"id": 2, "file_name": "train/2.png"}])
        declared = dataset.model_copy(update={"train": Split(images=".", annotations="train.json")})
        assert listed(declared).samples["train"] == [Sample("train/2.png", -1, "2")]

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"images": [{}], "annotations": [], "categories": []}'])
    def test_what_is_no_annotation_file_is_named(self, dataset: Dataset, content: str) -> None:
        (Path(dataset.root or "") / "train.json").write_text(content)
        assert "train.json" in refusal(dataset)

    def test_annotations_that_are_called_otherwise_must_be_stated(self, dataset: Dataset) -> None:
        unstated = dataset.model_copy(update={"train": Split(images="train")})
        assert listed(unstated) == listed(dataset)
        (Path(dataset.root or "") / "train.json").rename(Path(dataset.root or "") / "ours.json")
        said = refusal(unstated)
        assert "otherwise called, `images` and `annotations` of each part (layout coco)" in said
        assert "None" not in said


class TestLabelMaps:
    @pytest.fixture
    def dataset(self, tmp_path: Path, declare: Declare, picture: Picture) -> Dataset:
        for part in ("train", "val"):
            picture(tmp_path / "images" / part / "ein bild.jpg")
            (tmp_path / "maps" / part).mkdir(parents=True)
            Image.new("L", (8, 6), 2).save(tmp_path / "maps" / part / "ein bild.png")
        splits = {part: Split(images=f"images/{part}", annotations=f"maps/{part}") for part in ("train", "val")}
        return declare(tmp_path, "labelmaps", train=splits["train"], validation=splits["val"], classes=3)

    def test_maps_are_found_by_name(self, dataset: Dataset) -> None:
        found = listed(dataset)
        assert found.samples["train"] == [Sample("images/train/ein bild.jpg", -1, "maps/train/ein bild.png")]
        assert found.label_maps
        assert found.classes == ["1", "2", "3"]

    def test_names_are_read_where_there_are_any(self, dataset: Dataset) -> None:
        (Path(dataset.root or "") / "objectInfo150.txt").write_text("Idx\tRatio\tName\n1\t.1\twall\n2\t.1\tbuilding, edifice\n3\t.1\tsky\n")
        assert listed(dataset).classes == ["wall", "building, edifice", "sky"]

    def test_another_folder_of_maps_is_named(self, dataset: Dataset) -> None:
        (Path(dataset.root or "") / "maps/train/ein bild.png").unlink()
        assert "maps/train: holds no label map" in refusal(dataset)

    def test_classes_are_named_by_their_values(self, dataset: Dataset) -> None:
        from_zero = dataset.model_copy(update={"label_maps": LabelMaps(first_class=0, void=[255])})
        assert listed(from_zero).classes == ["0", "1", "2"]

    @pytest.mark.parametrize(("first", "void"), [(0, [0]), (1, [0, 3]), (0, [255, 2])])
    def test_a_value_is_a_class_or_void(self, dataset: Dataset, first: int, void: list[int]) -> None:
        both = dataset.model_copy(update={"label_maps": LabelMaps(first_class=first, void=void)})
        assert "label_maps.void" in refusal(both)

    def test_more_classes_than_can_be_told_apart(self, dataset: Dataset) -> None:
        assert "256 classes are more than the 255" in refusal(dataset.model_copy(update={"classes": 256}))

    def test_number_of_classes_is_that_of_the_values(self, dataset: Dataset) -> None:
        found = listed(dataset.model_copy(update={"classes": None}))
        assert (found.classes, found.label_maps) == (["1", "2"], LabelMaps())
        Image.fromarray(np.array([[0, 2], [2, 1]], dtype=np.uint8)).save(Path(dataset.root or "") / "maps/train/ein bild.png")
        stated = Dataset.model_validate({**dataset.model_dump(), "classes": None, "label_maps": {"first_class": 0, "void": [2]}})
        assert listed(stated).classes == ["0", "1"]

    def test_with_255_classes_begin_at_0(self, dataset: Dataset) -> None:
        Image.fromarray(np.array([[0, 4], [255, 1]], dtype=np.uint8)).save(Path(dataset.root or "") / "maps/train/ein bild.png")
        found = listed(dataset.model_copy(update={"classes": None}))
        assert (found.classes, found.label_maps) == (["0", "1", "2", "3", "4"], LabelMaps(first_class=0, void=[255]))

    def test_whether_0_is_a_class_must_be_said(self, dataset: Dataset) -> None:
        Image.fromarray(np.array([[0, 4], [2, 1]], dtype=np.uint8)).save(Path(dataset.root or "") / "maps/train/ein bild.png")
        said = refusal(dataset.model_copy(update={"classes": None}))
        assert "hold the values 0 to 4, and nothing says whether 0 is a class; write datasets.it.label_maps" in said


class TestMapsAmongImages:
    @pytest.fixture
    def mixed(self, tmp_path: Path, declare: Declare, picture: Picture) -> Callable[..., Dataset]:
        """One folder of each part with images and maps by these endings."""

        def build(image: str, label_map: str, maps: str = "{part}") -> Dataset:
            splits = {}
            for part in ("train", "val"):
                splits[part] = Split(images=part, annotations=maps.format(part=part))
                (tmp_path / (splits[part].annotations or "")).mkdir(parents=True, exist_ok=True)
                for number in range(2):
                    picture(tmp_path / part / f"{number}{image}", seed=number)
                    Image.new("L", (8, 6), 2).save(tmp_path / (splits[part].annotations or "") / f"{number}{label_map}")
            return declare(tmp_path, "labelmaps", train=splits["train"], validation=splits["val"], classes=3)

        return build

    @pytest.mark.parametrize(("image", "label_map"), [(".jpg", ".png"), (".jpg", "_mask.png"), (".png", "_mask.png"), (".JPEG", ".PNG")])
    def test_are_told_apart(self, mixed: Callable[..., Dataset], image: str, label_map: str) -> None:
        found = listed(mixed(image, label_map)).samples["train"]
        assert [(sample.path, sample.annotation) for sample in found] == [(f"train/{i}{image}", f"train/{i}{label_map}") for i in range(2)]

    @pytest.mark.parametrize("name", ["train/9.jpg", "train/9.png", "train/9_mask.png"])
    def test_what_has_no_partner_is_named(self, mixed: Callable[..., Dataset], picture: Picture, tmp_path: Path, name: str) -> None:
        dataset = mixed(".jpg", ".png")
        picture(tmp_path / name)
        assert f"{Path(name).name} has no partner; move the maps to a folder of their own" in refusal(dataset)

    def test_maps_below_the_images_are_no_images(self, mixed: Callable[..., Dataset]) -> None:
        found = listed(mixed(".jpg", ".png", "{part}/masks")).samples["train"]
        assert [(sample.path, sample.annotation) for sample in found] == [(f"train/{i}.jpg", f"train/masks/{i}.png") for i in range(2)]

    def test_two_images_of_one_name_do_not_share_a_map(self, mixed: Callable[..., Dataset], picture: Picture, tmp_path: Path) -> None:
        dataset = mixed(".jpg", ".png", "maps/{part}")
        picture(tmp_path / "train/0.png")
        assert "0.jpg and 0.png are images of one name" in refusal(dataset)


class TestCifar:
    @staticmethod
    def batch(path: Path, labels: list[int], key: str = "labels", seed: int = 0) -> np.ndarray:
        data = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps({"data": data, key: labels, "filenames": ["a"] * len(labels)}, protocol=2))
        return data

    @pytest.fixture
    def dataset(self, tmp_path: Path, declare: Declare) -> Dataset:
        for number in range(1, 6):
            self.batch(tmp_path / f"data_batch_{number}", [0, 1])
        self.batch(tmp_path / "test_batch", [1])
        (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": ["air plane", "cat"]}))
        return declare(tmp_path, "cifar", validation=Split(images="test"))

    def test_ten_classes_layout(self, dataset: Dataset) -> None:
        found = listed(dataset)
        assert len(found.samples["train"]) == 10
        assert found.samples["validation"] == [Sample("test/cat/00000.png", 1)]
        planes = self.batch(Path(dataset.root or "") / "again", [1])[0].reshape(3, 32, 32)
        assert np.array_equal(found.packed["test/cat/00000.png"], np.moveaxis(planes, 0, -1))

    def test_hundred_classes_layout_below_its_own_folder(self, tmp_path: Path, declare: Declare) -> None:
        folder = tmp_path / "cifar-100-python"
        self.batch(folder / "train", [0, 1, 1], "fine_labels")
        self.batch(folder / "test", [0], "fine_labels")
        (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["apple", "bear"], "coarse_label_names": ["x"]}))
        found = listed(declare(tmp_path, "cifar", validation=Split(images="test")))
        assert found.classes == ["apple", "bear"]
        assert [sample.label for sample in found.samples["train"]] == [0, 1, 1]

    def test_missing_batch_is_named(self, dataset: Dataset) -> None:
        (Path(dataset.root or "") / "data_batch_4").unlink()
        assert "data_batch_4" in refusal(dataset)

    def test_label_without_a_name_is_refused(self, dataset: Dataset) -> None:
        self.batch(Path(dataset.root or "") / "test_batch", [2])
        assert "test_batch" in refusal(dataset)

    def test_subset_that_does_not_exist_is_refused(self, dataset: Dataset) -> None:
        assert "subsets of layout cifar are train and test" in refusal(dataset.model_copy(update={"validation": Split(images="val")}))


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo gotcha",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_data_and_never_code(tmp_path: Path, protocol: int, capfd: pytest.CaptureFixture[str]) -> None:
    plain = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2], b"raw": b"\x00\xff"}
    (tmp_path / "good").write_bytes(pickle.dumps(plain, protocol))
    read = read_plain_pickle(tmp_path / "good")
    assert np.array_equal(read["data"], plain["data"])
    assert read["labels"] == [1, 2]
    (tmp_path / "evil").write_bytes(pickle.dumps({"data": _Evil()}, protocol))
    with pytest.raises(UserError, match="which is not plain data"):
        read_plain_pickle(tmp_path / "evil")
    assert "gotcha" not in capfd.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"<html>", pickle.dumps({"a": 1})[:-3]])
def test_damaged_pickles_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(UserError, match="bad: is not a pickle of plain data"):
        read_plain_pickle(tmp_path / "bad")


class TestCars:
    @pytest.fixture
    def dataset(self, tmp_path: Path, declare: Declare) -> Dataset:
        fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
        records = [
            ("car_ims/000001.jpg", 1, 2, 3, 4, 2, 0),
            ("car_ims/000002.jpg", 1, 2, 3, 4, 1, 1),
            ("car_ims/000003.jpg", 1, 2, 3, 4, 1, 0),
        ]
        annotations = np.array([records], dtype=[(name, object) for name in fields])
        savemat(tmp_path / "cars_annos.mat", {"annotations": annotations, "class_names": np.array([["Audi TT", "BMW M3"]], dtype=object)})
        return declare(tmp_path, "cars", validation=Split(images="test"))

    def test_classes_count_from_one_and_the_last_field_says_test(self, dataset: Dataset) -> None:
        found = listed(dataset)
        assert found.classes == ["Audi TT", "BMW M3"]
        assert found.samples == {
            "train": [Sample("car_ims/000001.jpg", 1), Sample("car_ims/000003.jpg", 0)],
            "validation": [Sample("car_ims/000002.jpg", 0)],
        }

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"MATLAB 5.0 MAT-file" + b"\0" * 200, ""),
            (b"", "is not a MATLAB file that can be read"),
            (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page, not a MATLAB file"),
            (b"\n<html>", "is a web page, not a MATLAB file"),
            (b"version https://git-lfs.github.com/spec/v1\n", "is not a MATLAB file that can be read"),
        ],
    )
    def test_damaged_annotations_are_named(self, dataset: Dataset, content: bytes, said: str) -> None:
        path = Path(dataset.root or "") / "cars_annos.mat"
        path.write_bytes(content)
        assert f"{path}: {said}" in refusal(dataset)

    def test_cut_off_annotations_are_named(self, dataset: Dataset) -> None:
        path = Path(dataset.root or "") / "cars_annos.mat"
        whole = path.read_bytes()
        for length in range(1, len(whole), 37):
            path.write_bytes(whole[:length])
            assert str(path) in refusal(dataset)

    def test_the_devkit_of_another_release_is_told_from_it(self, dataset: Dataset) -> None:
        root = Path(dataset.root or "")
        (root / "devkit").mkdir()
        (root / "cars_annos.mat").rename(root / "devkit/cars_train_annos.mat")
        said = refusal(dataset)
        assert "datasets.it needs cars_annos.mat, which lists both parts" in said
        assert "the devkit's two files are another release" in said


class TestFlowers:
    @pytest.fixture
    def dataset(self, tmp_path: Path, declare: Declare) -> Dataset:
        (tmp_path / "jpg").mkdir()
        savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[1, 2, 2, 1]])})
        savemat(tmp_path / "setid.mat", {"trnid": np.array([[3, 1]]), "valid": np.array([[2]]), "tstid": np.array([[4]])})
        return declare(tmp_path, "flowers", train=Split(images="trnid+valid"), validation=Split(images="tstid"))

    def test_subsets_are_joined(self, dataset: Dataset) -> None:
        found = listed(dataset)
        assert found.samples["train"] == [Sample(f"jpg/image_0000{number}.jpg", label) for number, label in ((1, 0), (3, 1), (2, 1))]
        assert found.samples["validation"] == [Sample("jpg/image_00004.jpg", 0)]
        assert found.classes == ["1", "2"]

    def test_unknown_subset_is_named(self, dataset: Dataset) -> None:
        said = refusal(dataset.model_copy(update={"train": Split(images="train")}))
        assert "no subset 'train'; it has trnid, valid, tstid" in said


class TestINat:
    @pytest.fixture
    def dataset(self, tmp_path: Path, declare: Declare) -> Dataset:
        for part, number in (("train", 4), ("val", 9)):
            content = {
                "images": [{"id": number, "file_name": f"train_val/Aves/{number}.jpg"}],
                "annotations": [{"id": 1, "image_id": number, "category_id": 7}],
                "categories": [{"id": 7, "name": "Turdus merula"}, {"id": 3, "name": "Pica pica"}],
            }
            (tmp_path / f"{part}.json").write_text(json.dumps(content))
        splits = {part: Split(images="train_val", annotations=f"{part}.json") for part in ("train", "val")}
        return declare(tmp_path, "inat", train=splits["train"], validation=splits["val"])

    def test_classes_are_in_the_order_of_their_ids(self, dataset: Dataset) -> None:
        found = listed(dataset)
        assert found.classes == ["Pica pica", "Turdus merula"]
        assert found.samples["train"] == [Sample("train_val/Aves/4.jpg", 1)]

    def change(self, dataset: Dataset, **sections: Any) -> None:
        path = Path(dataset.root or "") / "train.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **sections}))

    def test_two_images_of_one_file_are_named(self, dataset: Dataset) -> None:
        self.change(dataset, images=[{"id": number, "file_name": "train_val/Aves/4.jpg"} for number in (4, 5)])
        assert "images 4 and 5 both name train_val/Aves/4.jpg" in refusal(dataset)

    def test_ids_in_quotes_are_numbers(self, dataset: Dataset) -> None:
        before = listed(dataset)
        self.change(dataset, annotations=[{"id": 1, "image_id": "4", "category_id": "7"}])
        assert listed(dataset) == before

    def test_images_outside_of_the_root_are_refused(self, dataset: Dataset) -> None:
        path = Path(dataset.root or "") / "train.json"
        path.write_text(path.read_text().replace("train_val/Aves", "../../etc"))
        assert "leads out of the root" in refusal(dataset)
