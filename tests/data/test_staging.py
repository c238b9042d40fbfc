"""The copy on the node's own disk: complete, checked, made once, and never a reason to fail where the original serves."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.data import staging
from dbot.data.manifest import Manifest
from dbot.data.prepare import prepare
from dbot.data.staging import stage


@pytest.fixture
def manifest(declare, folders, tmp_path) -> Manifest:
    return prepare("it", declare(folders), tmp_path / "out", tmp_path / "copy", threads=2, progress_seconds=0)


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")}


def test_jobs_read_the_copy_which_holds_the_same_bytes(manifest, tmp_path):
    staged = stage(manifest, str(tmp_path / "scratch"))
    assert staged.root.is_relative_to(tmp_path / "scratch")
    assert contents(staged.root) == contents(manifest.root)
    assert replace(staged, root=manifest.root) == manifest


def test_home_is_filled_in(manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert stage(manifest, "~/scratch").root.is_relative_to(tmp_path / "scratch")


def test_is_copied_once_by_jobs_that_start_together(manifest, tmp_path, monkeypatch):
    filled = []
    fill = staging._fill
    monkeypatch.setattr(staging, "_fill", lambda *args: (filled.append(1), fill(*args)))
    jobs = [threading.Thread(target=stage, args=(manifest, str(tmp_path / "scratch"))) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(filled) == 1


def test_a_copy_that_was_cut_off_is_completed(manifest, tmp_path):
    root = stage(manifest, str(tmp_path)).root
    whole = contents(root)
    first, second, *_ = sorted(whole)
    (root / ".complete").unlink()
    (root / first).unlink()
    (root / second).write_bytes(whole[second][:-1])
    assert contents(stage(manifest, str(tmp_path)).root) == whole


def test_a_changed_original_is_found(manifest, tmp_path):
    image = next(path for path in sorted(manifest.root.rglob("*")) if path.is_file())
    image.write_bytes(image.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"its digest differs.*dbot prepare"):
        stage(manifest, str(tmp_path / "scratch"))


def test_without_room_the_original_serves(manifest, tmp_path, monkeypatch, capsys):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert stage(manifest, str(tmp_path / "scratch")) == manifest
    assert "0.0 GB are free" in capsys.readouterr().out


def test_where_the_folder_cant_be_made_the_original_serves(manifest, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert stage(manifest, str(tmp_path / "file")) == manifest
    assert "Not a directory" in capsys.readouterr().out


def test_a_variable_is_filled_in(manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "disk"))
    assert stage(manifest, "$NODE_DISK/data").root.is_relative_to(tmp_path / "disk" / "data")
    with pytest.raises(UserError, match=r"scratch is \$NOWHERE"):
        stage(manifest, "$NOWHERE")


def test_an_image_outside_of_the_root_is_refused(manifest, tmp_path, monkeypatch):
    rows = manifest.rows("train")
    monkeypatch.setattr(Manifest, "rows", lambda self, *splits: [rows[0]._replace(path="../elsewhere.png")])
    with pytest.raises(UserError, match="outside"):
        stage(manifest, str(tmp_path / "scratch"))
