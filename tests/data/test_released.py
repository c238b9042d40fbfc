"""A released file is taken from the folder, the cache, the mirror, the network; and is the declared one."""

import hashlib
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.data.released import CACHE, locate
from dbot.params.teachers import ReleasedFile

NOWHERE = "http://127.0.0.1:9/x.pth"
"""Nobody listens on this port."""


def declared(url: str = NOWHERE, **more) -> ReleasedFile:
    fields = {"file": "x.pth", "url": url, "sha256": None, "bytes": None, "layout": "vit", "row": "B-B", "licence": "none", **more}
    return ReleasedFile(**fields)


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.pth").write_bytes(b"weights")
    return tmp_path


def test_the_folder_comes_first(project):
    CACHE.mkdir(parents=True)
    (CACHE / "x.pth").write_bytes(b"older")
    assert locate(declared(), "elsewhere") == Path("elsewhere/x.pth")
    assert locate(declared(), "empty") == CACHE / "x.pth"


def test_a_mirror_is_asked_before_the_source_and_what_it_gives_is_kept(project):
    mirror = (project / "elsewhere").as_uri() + "/"
    assert locate(declared(), mirror) == CACHE / "x.pth"
    (project / "elsewhere/x.pth").unlink()
    assert locate(declared(), mirror).read_bytes() == b"weights"
    assert [path.name for path in CACHE.iterdir()] == ["x.pth"]


def test_without_network_one_line_says_what_to_put_where():
    with pytest.raises(UserError) as caught:
        locate(declared(), None)
    said = str(caught.value)
    assert said.startswith(f"x.pth: can't be fetched from {NOWHERE} (")
    assert "put the file into data/released, or name the folder that holds it at released.weights_folder" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("more", "said"), [({"sha256": "0" * 64}, "is not x.pth (its SHA-256 is "), ({"bytes": 6}, "has 7 bytes, and x.pth has 6")]
)
@pytest.mark.parametrize("folder", [True, False])
def test_another_file_than_declared_is_refused_and_not_kept(project, more, said, folder):
    there = "elsewhere" if folder else None
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        locate(declared((project / "elsewhere/x.pth").as_uri(), **more), there)
    assert not (CACHE / "x.pth").exists()


def test_the_declared_file_is_taken(project):
    digest = hashlib.sha256(b"weights").hexdigest()
    assert locate(declared((project / "elsewhere/x.pth").as_uri(), sha256=digest, bytes=7), None) == CACHE / "x.pth"
