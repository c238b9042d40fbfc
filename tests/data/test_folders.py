"""Folders as people have them: linked, looped, full of what systems leave. All who read folders see the same images."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.base.files import read_file
from dbot.data.folders import images_below, walk
from dbot.data.layouts.reader import read_listing
from dbot.params.datasets import Dataset
from dbot.tasks.predict.folder import ImageFolder

Declare = Callable[..., Dataset]
Picture = Callable[..., Path]


def training(dataset: Dataset) -> tuple[list[str], list[str], str]:
    """Classes, paths of the training images, and what was said to be left out."""
    listing = read_listing("it", dataset)[1]
    return listing.classes, [sample.path for sample in listing.samples["train"]], "\n".join(listing.left_out)


class TestLinks:
    def test_linked_folders_are_read_under_the_name_of_the_link(self, tmp_path: Path, picture: Picture) -> None:
        picture(tmp_path / "elsewhere/deep/a.png")
        picture(tmp_path / "set/b.png")
        (tmp_path / "set/linked").symlink_to(tmp_path / "elsewhere")
        assert walk(tmp_path / "set").images == ["b.png", "linked/deep/a.png"]

    def test_folder_that_holds_itself_is_counted_once(self, declare: Declare, folders: Path) -> None:
        (folders / "train/train").symlink_to(folders / "train")
        (folders / "train/cat/up").symlink_to("..")
        classes, paths, left_out = training(declare(folders))
        assert classes == ["cat", "wild döge"]
        assert len(paths) == 6
        assert "links to folders that are read already or lie above: 2 (cat/up, train)" in left_out

    def test_links_to_folders_above_bring_no_validation_image_into_training(self, declare: Declare, folders: Path) -> None:
        (folders / "train/cat/root").symlink_to("../..")
        _, paths, left_out = training(declare(folders))
        assert len(paths) == 6
        assert "cat/root" in left_out

    def test_folder_that_two_links_lead_to_is_read_once(self, tmp_path: Path, picture: Picture) -> None:
        picture(tmp_path / "elsewhere/2020/a.png")
        (tmp_path / "set").mkdir()
        (tmp_path / "set/one").symlink_to(tmp_path / "elsewhere/2020")
        (tmp_path / "set/two").symlink_to(tmp_path / "elsewhere")
        assert walk(tmp_path / "set").images == ["one/a.png"]

    def test_a_real_folder_goes_before_links_to_it_whatever_their_names(self, tmp_path: Path, picture: Picture) -> None:
        picture(tmp_path / "z/a.png")
        (tmp_path / "a").symlink_to("z")
        found = walk(tmp_path)
        assert (found.images, found.folders) == (["z/a.png"], ["z"])

    def test_links_that_go_round_in_circles_are_named(self, tmp_path: Path, picture: Picture) -> None:
        picture(tmp_path / "a.png")
        (tmp_path / "round").symlink_to("about")
        (tmp_path / "about").symlink_to("round")
        assert "links that lead nowhere, or no files: 2 (about, round)" in str(walk(tmp_path).left_out)

    def test_dead_link_of_an_image_is_an_image_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").symlink_to("gone.png")
        assert walk(tmp_path).images == ["a.png"]

    def test_validation_may_be_a_link_to_training(self, declare: Declare, folders: Path) -> None:
        shutil.rmtree(folders / "val")
        (folders / "val").symlink_to("train")
        assert len(read_listing("it", declare(folders))[1].samples["validation"]) == 6


def test_embed_predict_and_prepare_see_the_same_images(tmp_path: Path, picture: Picture) -> None:
    for name in ("set/real/b.jpg", "set/real/.ipynb_checkpoints/b-checkpoint.jpg", "set/real/@eaDir/b.jpg", "photos/a.jpg"):
        picture(tmp_path / name)
    (tmp_path / "set/linked").symlink_to(tmp_path / "photos")
    (tmp_path / "set/itself").symlink_to(".")
    root = tmp_path / "set"
    expected = ["linked/a.jpg", "real/b.jpg"]
    prepared = read_listing("it", Dataset.model_validate({"root": str(root), "layouts": ["images"]}))[1]
    assert [sample.path for sample in prepared.samples["train"]] == expected
    assert images_below(root) == expected  # what `dbot embed` asks for
    assert ImageFolder(root, 1e9).names == expected  # what `dbot predict` asks for


class TestWhatSystemsLeave:
    def test_no_class_and_no_image_comes_of_it(self, declare: Declare, folders: Path, picture: Picture) -> None:
        before = training(declare(folders))[:2]
        for name in ("train/@eaDir/cat/x.jpg", "train/cat/@eaDir/0.jpg/SYNOPHOTO_THUMB_M.jpg", "train/__MACOSX/cat/._a.jpg"):
            picture(folders / name)
        for name in ("train/.ipynb_checkpoints/b-checkpoint.jpg", "train/cat/.ipynb_checkpoints/b-checkpoint.jpg"):
            picture(folders / name)
        (folders / "train/lost+found").mkdir()
        (folders / "train/cat/Thumbs.db").write_bytes(b"\0")
        *after, left_out = training(declare(folders))
        assert tuple(after) == before
        assert "hidden or a system's own: 7 (" in left_out
        assert "@eaDir" in left_out

    def test_other_endings_are_counted_and_named(self, tmp_path: Path, picture: Picture, capsys: pytest.CaptureFixture[str]) -> None:
        picture(tmp_path / "a.png")
        for name in ("1.heic", "2.HEIC", "notes.txt", "LICENCE"):
            (tmp_path / name).write_text("")
        assert images_below(tmp_path) == ["a.png"]
        assert capsys.readouterr().out == f"{tmp_path}: left out: 1 without an ending, 2 .heic, 1 .txt\n"

    def test_nothing_is_said_where_nothing_is_left_out(self, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
        images_below(folders)
        assert capsys.readouterr().out == ""

    def test_images_beside_the_class_folders_are_said(self, declare: Declare, folders: Path, picture: Picture) -> None:
        picture(folders / "train/astray.png")
        assert "1 images in no class folder (astray.png)" in training(declare(folders))[2]

    def test_what_is_no_file_is_not_waited_for(self, tmp_path: Path, picture: Picture) -> None:
        picture(tmp_path / "a.png")
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "link.png").symlink_to("pipe.png")
        (tmp_path / "zeros.png").symlink_to("/dev/zero")
        found = walk(tmp_path)
        assert found.images == ["a.png"]
        assert "no files: 3 (link.png, pipe.png, zeros.png)" in str(found.left_out)

    def test_nor_where_a_file_is_looked_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        for path in (tmp_path / "pipe.png", Path("/dev/zero")):
            with pytest.raises(OSError, match="it is a pipe or a device"):
                read_file(path)
        assert read_file(Path(__file__)) == Path(__file__).read_bytes()


class TestNames:
    @pytest.mark.parametrize("name", [b"a\xff.png", b"b\xff/a.png"])
    def test_what_is_not_utf8_is_refused_before_any_work(self, tmp_path: Path, picture: Picture, name: bytes) -> None:
        odd = tmp_path / os.fsdecode(name)
        odd.parent.mkdir(exist_ok=True)
        shutil.copy(picture(tmp_path / "x.png"), odd)
        with pytest.raises(UserError, match=r"not UTF-8; rename it"):
            images_below(tmp_path)

    def test_of_what_is_left_out_anyway_they_can_be_shown(
        self, tmp_path: Path, picture: Picture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        picture(tmp_path / "a.png")
        (tmp_path / os.fsdecode(b".b\xff")).write_text("")
        assert images_below(tmp_path) == ["a.png"]
        assert r".b\udcff" in capsys.readouterr().out

    def test_folder_that_cannot_be_read_is_named(self, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        scan = os.scandir

        def refuse(path: str) -> "os._ScandirIterator[str]":
            if str(path).endswith("cat"):
                raise PermissionError(13, "Permission denied", path)
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(UserError, match=r"cat: can't be read \(Permission denied\)"):
            walk(folders)
