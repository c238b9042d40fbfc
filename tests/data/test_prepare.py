import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.images import read_image
from dbot.data.manifest import Manifest, read_manifest
from dbot.data.prepare import _Inspector, prepare
from dbot.params.datasets import Check, Dataset, LabelMaps, Split

Declare = Callable[..., Dataset]
Picture = Callable[..., Path]


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Manifest]:
    def run(dataset: Dataset, folder: str = "out") -> Manifest:
        return prepare("it", dataset, tmp_path / folder, tmp_path / "copy", threads=2, progress_seconds=0)

    return run


Prepared = Callable[..., Manifest]


def test_manifest_lists_every_image(declare: Declare, folders: Path, prepared: Prepared, tmp_path: Path) -> None:
    manifest = prepared(declare(folders))
    assert read_manifest(tmp_path / "out") == manifest
    assert manifest.counts == {"train": 6, "validation": 2}
    for part in ("train", "validation"):
        for path in manifest.samples(part).paths:
            assert read_image(manifest.root / path).shape == (3, 6, 8)


def test_digest_knows_neither_root_nor_time(declare: Declare, folders: Path, prepared: Prepared) -> None:
    first = prepared(declare(folders))
    elsewhere = folders.rename(folders.with_name("moved"))
    for path in elsewhere.rglob("*.png"):
        path.touch()
    assert prepared(declare(elsewhere), "again").digest == first.digest


def test_digest_knows_a_changed_image(declare: Declare, folders: Path, prepared: Prepared, picture: Picture) -> None:
    first = prepared(declare(folders))
    picture(folders / "train/cat/ein bild 0.png", seed=99)
    assert prepared(declare(folders), "again").digest != first.digest


def test_unreadable_images_are_refused_by_name(declare: Declare, folders: Path, prepared: Prepared) -> None:
    (folders / "train/cat/ein bild 1.png").write_bytes(b"")
    (folders / "val/cat/ein bild 0.png").write_text("404")
    with pytest.raises(UserError) as error:
        prepared(declare(folders))
    said = str(error.value)
    assert "2 of 8 images" in said
    assert str(folders / "train/cat/ein bild 1.png") in said
    assert "datasets.it.check.unreadable: skip" in said


def test_unreadable_images_are_left_out_and_counted(declare: Declare, folders: Path, prepared: Prepared) -> None:
    (folders / "train/cat/ein bild 1.png").write_bytes(b"")
    (folders / "train/cat/ein bild 2.png").unlink()
    (folders / "train/cat/ein bild 2.png").symlink_to("gone")
    manifest = prepared(declare(folders, check=Check(decode="none", unreadable="skip")))
    assert manifest.counts == {"train": 4, "validation": 2}
    assert manifest.unreadable == ["train/cat/ein bild 1.png", "train/cat/ein bild 2.png"]


def test_part_of_which_nothing_is_left_is_an_error(declare: Declare, folders: Path, prepared: Prepared) -> None:
    for path in (folders / "val").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no image of validation can be used"):
        prepared(declare(folders, check=Check(decode="all", unreadable="skip")))


@pytest.mark.parametrize(("decode", "expected"), [("all", 8), ("none", 0), (5, 5), (100, 8)])
def test_as_many_are_decoded_as_asked(declare: Declare, folders: Path, prepared: Prepared, decode: int | str, expected: int) -> None:
    for path in folders.rglob("*.png"):
        path.write_text(f"no image: {path}")
    if expected == 0:
        assert prepared(declare(folders, check=Check(decode=decode, unreadable="refuse"))).counts["train"] == 6
    else:
        with pytest.raises(UserError, match=f"{expected} of 8 images"):
            prepared(declare(folders, check=Check(decode=decode, unreadable="refuse")))


def test_limit_takes_as_many_of_each_part_evenly(declare: Declare, folders: Path, prepared: Prepared) -> None:
    manifest = prepared(declare(folders, limit=2))
    assert manifest.counts == {"train": 2, "validation": 2}
    assert sorted(manifest.samples("train").labels) == [0, 1]


def test_a_set_of_which_nothing_can_be_used_is_given_up_soon(
    declare: Declare, prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line for each of thousands of files, and no advice to leave all of them out."""
    for part in ("train", "val"):
        (tmp_path / "set" / part / "cat").mkdir(parents=True)
        for number in range(300):
            (tmp_path / "set" / part / "cat" / f"{number}.jpg").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"the first 256 of 600 images can't be used: .*; restore or remove them$"):
        prepared(declare(tmp_path / "set"))
    assert capsys.readouterr().out.count("\n") == 21


def test_progress_is_said_in_plain_lines(declare: Declare, folders: Path, prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    prepared(declare(folders))
    assert capsys.readouterr().out.startswith("checked 8 of 8 images, ")


def test_files_of_another_release_are_missed_by_name(declare: Declare, prepared: Prepared, tmp_path: Path, picture: Picture) -> None:
    from scipy.io import savemat

    fields = [(name, object) for name in ("relative_im_path", "x1", "y1", "x2", "y2", "class", "test")]
    records = [(f"car_ims/00000{number}.jpg", 1, 2, 3, 4, number, number - 1) for number in (1, 2)]
    picture(tmp_path / "set/cars_train/cars_train/00001.jpg")
    classes = np.array(["Audi TT", "BMW M3"], dtype=object)
    savemat(tmp_path / "set/cars_annos.mat", {"annotations": np.array([records], dtype=fields), "class_names": classes})
    with pytest.raises(UserError, match=r"2 of 2 images can't be used: .*car_ims/000001\.jpg: can't be read"):
        prepared(declare(tmp_path / "set", "cars", validation=Split(images="test")))


class TestShrunkCopy:
    def test_copy_has_the_short_side_and_is_never_larger(
        self, declare: Declare, folders: Path, prepared: Prepared, picture: Picture, tmp_path: Path
    ) -> None:
        picture(folders / "train/cat/big.png", size=(40, 20))
        small = (folders / "train/cat/ein bild 0.png").read_bytes()
        manifest = prepared(declare(folders, short_side=10))
        assert manifest.root == tmp_path / "copy"
        assert read_image(manifest.root / "train/cat/big.png").shape == (3, 10, 20)
        assert (manifest.root / "train/cat/ein bild 0.png").read_bytes() == small

    @pytest.mark.parametrize(("jpeg", "luma"), [({}, (2, 2)), ({"colours": "full"}, (1, 1))])
    def test_jpeg_stays_jpeg_as_it_is_asked_for_and_all_else_becomes_png(
        self, declare: Declare, folders: Path, prepared: Prepared, picture: Picture, jpeg: dict[str, str], luma: tuple[int, int]
    ) -> None:
        picture(folders / "train/cat/a.jpg", size=(40, 20))
        picture(folders / "train/cat/b.bmp", size=(40, 20))
        picture(folders / "train/cat/c.JPEG", size=(40, 20), format="PNG")
        manifest = prepared(declare(folders, short_side=10, jpeg=jpeg))
        with Image.open(manifest.root / "train/cat/a.jpg") as image:
            assert image.format == "JPEG"
            assert [layer[1:3] for layer in image.layer] == [luma, (1, 1), (1, 1)]  # type: ignore[attr-defined]
        for name in ("b.bmp.png", "c.JPEG.png"):
            with Image.open(manifest.root / "train/cat" / name) as image:
                assert image.format == "PNG"

    def test_same_data_same_copy(self, declare: Declare, folders: Path, prepared: Prepared, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            prepared(declare(folders, short_side=4), folder)
        for name in ("manifest.json", "samples.tsv"):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_refused_data_leave_no_copy(self, declare: Declare, folders: Path, prepared: Prepared, tmp_path: Path) -> None:
        (folders / "val/cat/ein bild 0.png").write_bytes(b"")
        with pytest.raises(UserError):
            prepared(declare(folders, short_side=4))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]

    def test_copies_of_one_name_are_refused(self, declare: Declare, folders: Path, prepared: Prepared, picture: Picture) -> None:
        picture(folders / "train/cat/a.bmp", size=(40, 20))
        picture(folders / "train/cat/a.bmp.png", size=(40, 20))
        with pytest.raises(UserError, match="the same name"):
            prepared(declare(folders, short_side=10))


class TestCopyOfPixels:
    @pytest.fixture
    def mixed(self, declare: Declare, folders: Path, picture: Picture) -> Callable[..., Dataset]:
        """Files of many kinds, larger and smaller than the short side, one of them turned by its EXIF."""
        exif = Image.Exif()
        exif[0x0112] = 6
        picture(folders / "train/cat/a.jpg", size=(41, 20), seed=1)
        picture(folders / "train/cat/b.JPEG", size=(20, 47), seed=2, exif=exif)
        picture(folders / "train/cat/c.bmp", size=(33, 33), seed=3)
        picture(folders / "train/cat/d.jpg", size=(9, 30), seed=4)
        return lambda **settings: declare(folders, short_side=10, **settings)

    def test_pixels_are_those_before_compression(self, mixed: Callable[..., Dataset], prepared: Prepared, tmp_path: Path) -> None:
        manifest = prepared(mixed(copies="pixels"))
        originals = sorted(path for path in (tmp_path / "set").rglob("*") if path.is_file())
        copies = sorted(manifest.root.rglob("*.ppm"))
        assert len(copies) == len(originals) == sum(manifest.counts.values())
        for original, copy in zip(originals, copies, strict=True):
            assert copy.relative_to(manifest.root).with_suffix("") == original.relative_to(tmp_path / "set")
            expected = read_image(original)
            height, width = expected.shape[1:]
            if min(height, width) > 10:
                size = (max(10, round(width * 10 / min(height, width))), max(10, round(height * 10 / min(height, width))))
                shrunk = Image.fromarray(expected.permute(1, 2, 0).contiguous().numpy()).resize(size, Image.Resampling.BICUBIC)
                expected = torch.from_numpy(np.array(shrunk)).permute(2, 0, 1)
            assert torch.equal(read_image(copy), expected)

    def test_what_was_no_jpeg_has_the_same_pixels_either_way(
        self, declare: Declare, folders: Path, prepared: Prepared, picture: Picture
    ) -> None:
        picture(folders / "train/cat/c.bmp", size=(33, 23))
        pixels = {}
        for copies in ("pixels", "compressed"):
            manifest = prepared(declare(folders, short_side=10, copies=copies), copies)
            pixels[copies] = [read_image(manifest.root / path) for path in manifest.samples("train").paths]
        assert len(pixels["pixels"]) == 7
        assert all(map(torch.equal, pixels["pixels"], pixels["compressed"]))

    def test_same_data_same_copy_and_another_digest_than_compressed(self, mixed: Callable[..., Dataset], prepared: Prepared) -> None:
        digests = [prepared(mixed(copies=copies)).digest for copies in ("pixels", "compressed", "pixels")]
        assert digests[0] == digests[2] != digests[1]

    def test_what_a_killed_attempt_left_is_not_taken_for_a_copy(
        self, mixed: Callable[..., Dataset], prepared: Prepared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        written: list[Path] = []

        def killed(path: Path, content: bytes) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[: len(content) // 2])
            written.append(path)
            if len(written) == 5:
                raise SystemExit  # what no `except Exception` sees, as of a kill nothing is cleared

        with monkeypatch.context() as patch:
            patch.setattr(_Inspector, "write", staticmethod(killed))
            with pytest.raises(SystemExit):
                prepared(mixed(copies="pixels"))
        assert written[0].exists()
        assert not (tmp_path / "copy").exists()
        manifest = prepared(mixed(copies="pixels"))
        on_disk = {path.relative_to(manifest.root).as_posix(): path.stat().st_size for path in manifest.root.rglob("*.ppm")}
        assert on_disk == {row.path: row.bytes for row in manifest.rows("train", "validation")}
        assert not written[0].exists()

    def test_a_disk_that_will_not_hold_it_is_said_at_once(
        self, mixed: Callable[..., Dataset], prepared: Prepared, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dbot.data.prepare.CHUNK", 4)
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1500}))
        with pytest.raises(UserError, match=r"datasets\.it: its copy will take .* more, and .* GB left"):
            prepared(mixed(copies="pixels"))
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
        assert prepared(mixed(copies="pixels")).counts["train"] == 10


def test_packed_images_are_written_out(declare: Declare, tmp_path: Path, prepared: Prepared) -> None:
    root = tmp_path / "cifar"
    root.mkdir()
    for name in ("test", "train"):
        data = np.random.default_rng(len(name)).integers(0, 256, (2, 3072), dtype=np.uint8)
        (root / name).write_bytes(pickle.dumps({"data": data, "fine_labels": [0, 1]}, protocol=2))
    (root / "meta").write_bytes(pickle.dumps({"fine_label_names": ["a", "b"]}))
    manifest = prepared(declare(root, "cifar", validation=Split(images="test")))
    samples = manifest.samples("train")
    assert samples.labels.tolist() == [0, 1]
    assert np.array_equal(read_image(manifest.root / samples.paths[1]).numpy(), data[1].reshape(3, 32, 32))


class TestAnnotatedSets:
    @staticmethod
    def label_map(value: int) -> Image.Image:
        """A map of one class, but for a pixel."""
        made = Image.new("L", (8, 6), value)
        made.putpixel((0, 0), 1)
        return made

    @pytest.fixture
    def maps(self, declare: Declare, tmp_path: Path, picture: Picture) -> Dataset:
        for seed, part in enumerate(("train", "val")):
            picture(tmp_path / "set/i" / part / "a.png", seed=seed)
            (tmp_path / "set/m" / part).mkdir(parents=True)
            self.label_map(3).save(tmp_path / "set/m" / part / "a.png")
        splits = {part: Split(images=f"i/{part}", annotations=f"m/{part}") for part in ("train", "val")}
        return declare(tmp_path / "set", "labelmaps", train=splits["train"], validation=splits["val"], classes=3)

    def test_digest_knows_the_label_maps(self, maps: Dataset, prepared: Prepared) -> None:
        first = prepared(maps)
        assert first.samples("train").annotations.tolist() == ["m/train/a.png"]
        for part in ("train", "val"):
            self.label_map(2).save(Path(maps.root or "") / f"m/{part}/a.png")
        assert prepared(maps, "again").digest != first.digest

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (Image.new("L", (8, 6), 4), "holds the value 4; values are 1 to 3"),
            (Image.new("L", (6, 8), 1), "pixels, its image"),
            (Image.new("RGB", (8, 6)), "one channel"),
        ],
    )
    def test_wrong_label_maps_are_named(self, maps: Dataset, prepared: Prepared, change: Image.Image, said: str) -> None:
        change.save(Path(maps.root or "") / "m/val/a.png")
        with pytest.raises(UserError, match=said) as error:
            prepared(maps)
        assert "m/val/a.png" in str(error.value)

    @pytest.mark.parametrize("decode", ["all", "none"])
    @pytest.mark.parametrize(("ending", "settings"), [(".jpg", {}), (".png", {"format": "JPEG"}), (".tif", {"compression": "jpeg"})])
    def test_a_label_map_saved_with_loss_is_refused(
        self, maps: Dataset, prepared: Prepared, decode: Literal["all", "none"], ending: str, settings: dict[str, str]
    ) -> None:
        if ending == ".tif" and decode == "none":
            pytest.skip("found where it is decoded")
        path = Path(maps.root or "") / f"m/val/a{ending}"
        (Path(maps.root or "") / "m/val/a.png").unlink()
        self.label_map(2).save(path, **settings)
        with pytest.raises(UserError, match="is a JPEG, which keeps no exact values, so it can't be a label map") as error:
            prepared(maps.model_copy(update={"check": Check(decode=decode, unreadable="refuse")}))
        assert str(path) in str(error.value)

    @pytest.mark.parametrize("decode", ["all", "none"])
    def test_a_missing_label_map_is_named_or_left_out(
        self, maps: Dataset, prepared: Prepared, picture: Picture, decode: Literal["all", "none"]
    ) -> None:
        picture(Path(maps.root or "") / "i/val/b.png", seed=9)
        with pytest.raises(UserError, match=r"m/val/b\.png.*needs a label map") as error:
            prepared(maps.model_copy(update={"check": Check(decode=decode, unreadable="refuse")}))
        assert "1 of 3 images" in str(error.value)
        manifest = prepared(maps.model_copy(update={"check": Check(decode=decode, unreadable="skip")}))
        assert manifest.unreadable == ["i/val/b.png"]
        assert manifest.counts == {"train": 1, "validation": 1}

    def test_another_convention_is_another_set(self, maps: Dataset, prepared: Prepared) -> None:
        first = prepared(maps)
        assert first.label_maps == LabelMaps()
        other = prepared(maps.model_copy(update={"label_maps": LabelMaps(void=[0, 255])}), "again")
        assert other.label_maps == LabelMaps(void=[0, 255])
        assert other.digest != first.digest

    def test_annotated_images_are_not_shrunk(self, maps: Dataset, prepared: Prepared) -> None:
        with pytest.raises(UserError, match=r"datasets\.it\.short_side"):
            prepared(maps.model_copy(update={"short_side": 4}))

    def test_digest_knows_the_objects(self, declare: Declare, tmp_path: Path, picture: Picture, prepared: Prepared) -> None:
        splits = {part: Split(images=part, annotations=f"{part}.json") for part in ("train", "val")}
        digests = []
        for category in (1, 2):
            for seed, part in enumerate(splits):
                picture(tmp_path / "set" / part / "a.png", seed=seed)
                image = {"id": 1, "file_name": "a.png", "height": 6, "width": 8}
                mask = {"bbox": [1, 1, 4, 4], "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
                content = {"images": [image], "annotations": [{"id": 1, "image_id": 1, "category_id": category, **mask}]}
                categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
                (tmp_path / "set" / f"{part}.json").write_text(json.dumps({**content, "categories": categories}))
            manifest = prepared(declare(tmp_path / "set", "coco", train=splits["train"], validation=splits["val"]))
            assert manifest.annotation_files["train"]["path"] == "train.json"
            digests.append(manifest.digest)
        assert digests[0] != digests[1]
