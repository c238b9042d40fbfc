"""Images with classes, in the forms that ImageNet, Tiny ImageNet and the hub have."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbot.base.errors import UserError
from dbot.data.layouts.listing import Sample
from dbot.data.layouts.reader import read_listing
from dbot.params.datasets import Dataset, Split
from tests.data.forms.conftest import Prepared, jpeg, same_images, tar_of, write, zipped
from tests.data.forms.makers import WNIDS, class_folders, imagenet_tars, kaggle, parquet_shard, tiny_imagenet, webdataset_shard

Declare = Callable[..., Dataset]

TRAIN = [(label, jpeg(10 * label + number)) for label in (0, 1) for number in range(3)]
VALIDATION = [(1, jpeg(100)), (0, jpeg(101)), (1, jpeg(102))]
ALL = {"train": TRAIN, "validation": VALIDATION}


def in_folders(root: Path) -> Path:
    """The same images, sorted into folders of classes."""
    return write(root, class_folders(TRAIN, VALIDATION))


def refusal(dataset: Dataset) -> str:
    with pytest.raises(UserError) as error:
        read_listing("it", dataset)
    assert len(error.value.problems) == 1
    assert "\n" not in str(error.value)
    return str(error.value)


class TestTinyImageNet:
    def files(self) -> dict[str, bytes]:
        return tiny_imagenet(TRAIN, VALIDATION)

    def test_it_is_read_where_it_lies(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        manifest = prepared(declare(write(tmp_path / "set", self.files()), "tiny-imagenet"))
        assert manifest.root == tmp_path / "set"
        assert manifest.classes == list(WNIDS)
        assert same_images(manifest, ALL)
        assert manifest.samples("validation").paths.tolist() == [f"val/images/val_{number}.JPEG" for number in range(3)]

    def test_its_zip_gives_the_same_set(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        zipped(tmp_path / "zip/tiny-imagenet-200.zip", {f"tiny-imagenet-200/{name}": file for name, file in self.files().items()})
        manifest = prepared(declare(tmp_path / "zip", "tiny-imagenet"))
        assert same_images(manifest, ALL)
        assert manifest.digest == prepared(declare(write(tmp_path / "set", self.files()), "tiny-imagenet")).digest

    def test_the_folder_above_may_be_named(
        self, declare: Declare, tmp_path: Path, prepared: Prepared, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path / "set/tiny-imagenet-200", self.files())
        manifest = prepared(declare(tmp_path / "set", "tiny-imagenet"))
        assert manifest.root == tmp_path / "set/tiny-imagenet-200"
        assert "one level down, in tiny-imagenet-200/" in capsys.readouterr().out

    def test_an_unknown_class_is_named_with_its_line(self, declare: Declare, tmp_path: Path) -> None:
        root = write(tmp_path / "set", self.files())
        with (root / "val/val_annotations.txt").open("a") as stream:
            stream.write("val_3.JPEG\tn99999999\t0\t1\t2\t3\n")
        assert "val_annotations.txt, line 4" in refusal(declare(root, "tiny-imagenet"))

    def test_an_image_without_a_class_is_named(self, declare: Declare, tmp_path: Path) -> None:
        root = write(tmp_path / "set", {**self.files(), "val/images/val_9.JPEG": jpeg(9)})
        assert "val/images/val_9.JPEG" in refusal(declare(root, "tiny-imagenet"))

    def test_as_folders_of_classes_it_is_refused_and_the_line_is_said(self, declare: Declare, tmp_path: Path) -> None:
        said = refusal(declare(write(tmp_path / "set", self.files())))
        assert "this looks like Tiny ImageNet, write datasets.it.layouts: [tiny-imagenet]" in said


class TestKaggle:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return write(tmp_path / "set", self.files())

    @staticmethod
    def files() -> dict[str, bytes]:
        return kaggle(TRAIN, VALIDATION)

    @pytest.mark.parametrize("named", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
    def test_any_of_its_folders_may_be_the_root(self, declare: Declare, root: Path, prepared: Prepared, named: str) -> None:
        manifest = prepared(declare(root / named, layouts=["imagenet-kaggle", "imagefolder"]))
        assert manifest.root == root / "ILSVRC/Data/CLS-LOC"
        assert manifest.classes == list(WNIDS)
        assert same_images(manifest, ALL)

    def test_its_zip_is_read(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        zipped(tmp_path / "zip/imagenet-object-localization-challenge.zip", self.files())
        assert same_images(prepared(declare(tmp_path / "zip", "imagenet-kaggle")), ALL)

    def test_folders_of_classes_are_not_taken_for_it(self, declare: Declare, tmp_path: Path) -> None:
        assert read_listing("it", declare(in_folders(tmp_path / "set"), layouts=["imagenet-kaggle", "imagefolder"]))[0] == "imagefolder"

    def test_a_missing_solution_is_named(self, declare: Declare, root: Path) -> None:
        (root / "LOC_val_solution.csv").unlink()
        assert "LOC_val_solution.csv, which says their classes" in refusal(declare(root, "imagenet-kaggle"))

    @pytest.mark.parametrize("named", ["", "ILSVRC/Data/CLS-LOC"])
    def test_as_folders_of_classes_it_is_refused_and_the_line_is_said(self, declare: Declare, root: Path, named: str) -> None:
        assert "this looks like Kaggle's ImageNet, write datasets.it.layouts: [imagenet-kaggle]" in refusal(declare(root / named))


class TestTars:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return write(tmp_path / "set", imagenet_tars(TRAIN, VALIDATION))

    def test_they_give_the_set_that_they_unpack_to(self, declare: Declare, root: Path, prepared: Prepared, tmp_path: Path) -> None:
        manifest = prepared(declare(root, "imagenet-tars"))
        assert same_images(manifest, ALL)
        assert manifest.digest == prepared(declare(in_folders(tmp_path / "folders"))).digest

    def test_the_devkit_is_asked_for(self, declare: Declare, root: Path) -> None:
        (root / "ILSVRC2012_devkit_t12.tar.gz").unlink()
        assert "put ILSVRC2012_devkit_t12.tar.gz" in refusal(declare(root, "imagenet-tars"))

    @pytest.mark.parametrize("file", ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"])
    def test_half_a_download_is_named(self, declare: Declare, root: Path, file: str, prepared: Prepared) -> None:
        content = (root / file).read_bytes()
        (root / file).write_bytes(content[:1500])
        with pytest.raises(UserError, match=file):
            prepared(declare(root, "imagenet-tars"))


class TestParquet:
    NAMES = ("goldfish, Carassius", "salamander")

    @staticmethod
    def shard(path: Path, rows: list[tuple[Any, bytes | None]], names: tuple[str, ...] | None = NAMES, label: str = "label") -> None:
        write(path.parent, {path.name: parquet_shard(rows, names, label)})

    @pytest.mark.parametrize(
        ("train", "validation"),
        [
            (("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"), "data/validation-00000-of-00001.parquet"),
            (("default/train/0000.parquet", "default/train/0001.parquet"), "default/valid/0000.parquet"),
        ],
    )
    def test_shards_are_read_with_the_names_of_their_classes(
        self, declare: Declare, tmp_path: Path, prepared: Prepared, train: tuple[str, str], validation: str
    ) -> None:
        root = tmp_path / "set"
        self.shard(root / train[0], TRAIN[:4])
        self.shard(root / train[1], TRAIN[4:])
        self.shard(root / validation, VALIDATION)
        manifest = prepared(declare(root, "parquet"))
        assert manifest.classes == list(self.NAMES)
        assert same_images(manifest, ALL)
        assert manifest.samples("train").labels.tolist() == [label for label, _ in TRAIN]

    def test_columns_without_a_description_are_found_by_their_types(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        for part, rows in (("train", TRAIN), ("val", VALIDATION)):
            self.shard(tmp_path / "set" / f"{part}.parquet", rows, names=None, label="fine_label")
        manifest = prepared(declare(tmp_path / "set", "parquet"))
        assert manifest.classes == ["0", "1"]
        assert same_images(manifest, ALL)

    def test_rows_without_a_class_are_refused(self, declare: Declare, tmp_path: Path) -> None:
        self.shard(tmp_path / "set/train-0.parquet", TRAIN)
        self.shard(tmp_path / "set/val-0.parquet", [(-1, jpeg(0))])
        assert "rows have no class" in refusal(declare(tmp_path / "set", "parquet"))

    def test_references_instead_of_images_are_refused(self, declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
        self.shard(tmp_path / "set/train-0.parquet", TRAIN)
        self.shard(tmp_path / "set/val-0.parquet", [(0, None), (1, jpeg(0))])
        with pytest.raises(UserError, match="holds no image, only a reference"):
            prepared(declare(tmp_path / "set", "parquet"))

    def test_half_a_shard_is_named(self, declare: Declare, tmp_path: Path) -> None:
        for part, rows in (("train", TRAIN), ("val", VALIDATION)):
            self.shard(tmp_path / "set" / f"{part}-0.parquet", rows)
        broken = tmp_path / "set/val-0.parquet"
        broken.write_bytes(broken.read_bytes()[:-100])
        assert "val-0.parquet: is not a parquet file" in refusal(declare(tmp_path / "set", "parquet"))

    def test_shards_without_images_are_explained(self, declare: Declare, tmp_path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for part in ("train", "val"):
            (tmp_path / "set").mkdir(exist_ok=True)
            pq.write_table(pa.table({"text": ["a"], "label": [0]}), tmp_path / "set" / f"{part}-0.parquet")
        assert "has the columns text, label" in refusal(declare(tmp_path / "set", "parquet"))


class TestWebDataset:
    @pytest.mark.parametrize("described", [False, True])
    @pytest.mark.parametrize("pattern", ["{part}/{number:03d}.tar", "imagenet1k-{part}-{number:04d}.tar"])
    def test_shards_are_read(self, declare: Declare, tmp_path: Path, prepared: Prepared, pattern: str, described: bool) -> None:
        root = write(
            tmp_path / "set",
            {
                pattern.format(part="train", number=0): webdataset_shard(TRAIN[:2], described),
                pattern.format(part="train", number=1): webdataset_shard(TRAIN[2:], described),
                pattern.format(part="validation", number=0): webdataset_shard(VALIDATION, described),
            },
        )
        manifest = prepared(declare(root, "webdataset"))
        assert manifest.classes == ["0", "1"]
        assert same_images(manifest, ALL)

    def test_names_of_classes_beside_the_shards_are_read(self, declare: Declare, tmp_path: Path) -> None:
        root = write(
            tmp_path / "set",
            {
                "train-0.tar": webdataset_shard(TRAIN),
                "val-0.tar": webdataset_shard(VALIDATION),
                "classes.txt": b"goldfish\nsalamander\nfrog\n",
            },
        )
        found = read_listing("it", declare(root, "webdataset"))[1]
        assert found.classes == ["goldfish", "salamander", "frog"]
        assert found.samples["validation"][0] == Sample("val-0/00000.jpg", 1)

    def test_an_image_without_a_class_is_named(self, declare: Declare, tmp_path: Path) -> None:
        shard = tar_of({"a.jpg": jpeg(0), "a.cls": b"0", "b.jpg": jpeg(1)})
        root = write(tmp_path / "set", {"train-0.tar": webdataset_shard(TRAIN), "val-0.tar": shard})
        assert "val-0.tar: b has no class" in refusal(declare(root, "webdataset"))

    def test_what_leads_out_of_a_shard_is_left_out(self, declare: Declare, tmp_path: Path) -> None:
        shard = tar_of({"../../a.jpg": jpeg(0), "../../a.cls": b"0", "/b.jpg": jpeg(1), "/b.cls": b"0", "c.jpg": jpeg(2), "c.cls": b"1"})
        root = write(tmp_path / "set", {"train-0.tar": webdataset_shard(TRAIN), "val-0.tar": shard})
        assert read_listing("it", declare(root, "webdataset"))[1].samples["validation"] == [Sample("val-0/c.jpg", 1)]


def test_a_limit_takes_from_an_archive_what_it_takes_from_folders(declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
    folders = in_folders(tmp_path / "folders")
    expected = prepared(declare(folders, limit=2))
    files = {path.relative_to(folders).as_posix(): path.read_bytes() for path in folders.rglob("*.JPEG")}
    shutil.rmtree(folders)
    kaggle = {f"ILSVRC/Data/CLS-LOC/{name}": file for name, file in files.items() if name.startswith("train/")}
    names = {Path(name).stem: (name.split("/")[1], file) for name, file in files.items() if name.startswith("val/")}
    kaggle |= {f"ILSVRC/Data/CLS-LOC/val/{name}.JPEG": file for name, (_, file) in names.items()}
    kaggle["LOC_val_solution.csv"] = "".join(f"{name},{wnid} 1 1 2 2\n" for name, (wnid, _) in names.items()).encode()
    zipped(tmp_path / "zip/kaggle.zip", kaggle)
    found = prepared(declare(tmp_path / "zip", "imagenet-kaggle", limit=2))
    assert found.samples("train").paths.tolist() == expected.samples("train").paths.tolist()
    assert found.counts == {"train": 2, "validation": 2}


def test_archives_can_be_shrunk(declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
    large = {part: [(label, jpeg(first + label, (40, 30))) for label in (0, 1)] for part, first in (("train", 0), ("val", 2))}
    root = write(tmp_path / "set", {f"{part}-0.tar": webdataset_shard(images) for part, images in large.items()})
    manifest = prepared(declare(root, "webdataset", short_side=10, train=Split(images="train")))
    from dbot.data.images import read_image

    assert [read_image(manifest.root / path).shape[1:] for path in manifest.samples("train").paths] == [(10, 13), (10, 13)]
