"""A released file is taken from the folder, the cache, the mirror, the network; and is the declared one."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.data.released import CACHE, fault_of, hold_to_first_use, is_at_hand, locate, note_first_use, refuse_twins
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


def test_without_downloads_it_is_in_a_folder_or_nowhere(project):
    with pytest.raises(UserError, match=r"^x\.pth: is neither in empty nor in data/released, and released\.download is false; put it"):
        locate(declared((project / "elsewhere/x.pth").as_uri()), "empty", download=False)
    assert locate(declared(), "elsewhere", download=False) == Path("elsewhere/x.pth")
    assert is_at_hand(declared(), "elsewhere")
    assert not is_at_hand(declared(), "file:///elsewhere")


def test_a_file_under_two_names_is_refused_under_both(project):
    other = declared(file="y.pth")
    (project / "elsewhere/y.pth").write_bytes(b"Weights")
    refuse_twins(Path("elsewhere/x.pth"), declared(), [declared(), other])
    (project / "elsewhere/y.pth").write_bytes(b"weights")
    for one, two in (("x.pth", "y.pth"), ("y.pth", "x.pth")):
        with pytest.raises(UserError, match=f"^elsewhere/{one}: is {two} byte for byte, so one of them is another row's; get both anew$"):
            refuse_twins(Path("elsewhere") / one, declared(file=one), [declared(), other])


def test_the_first_use_is_noted_and_later_ones_hold_to_it(project):
    path, noted = Path("elsewhere/x.pth"), Path("results/first-use.json")
    digest = hold_to_first_use(path, declared(), noted)
    assert digest == hashlib.sha256(b"weights").hexdigest()
    note_first_use(path, digest, declared(), noted)
    assert json.loads(noted.read_text()) == {"file": "x.pth", "bytes": 7, "sha256": digest, "trusted": "on first use"}
    assert hold_to_first_use(path, declared(), noted) == digest
    path.write_bytes(b"others'")
    with pytest.raises(UserError) as caught:
        hold_to_first_use(path, declared(), noted)
    said = str(caught.value)
    assert said.startswith(
        f"elsewhere/x.pth: is not the file of the first use (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}…"
    )
    assert said.endswith(f"then {digest[:12]}…, 7 bytes); get that one again or, if this one is meant, remove {noted}")
    note_first_use(path, "0" * 64, declared(), noted)
    assert json.loads(noted.read_text())["sha256"] == digest, "the first use stays the first"
    noted.write_text("[]")
    with pytest.raises(UserError, match="is no note of a first use"):
        hold_to_first_use(path, declared(), noted)


def test_of_a_declared_digest_nothing_is_noted(project):
    path, noted, known = Path("elsewhere/x.pth"), Path("first-use.json"), declared(sha256=hashlib.sha256(b"weights").hexdigest())
    note_first_use(path, hold_to_first_use(path, known, noted), known, noted)
    assert not noted.exists()


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


def cut_off_archive() -> bytes:
    path = Path("whole.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    return path.read_bytes()[:-30]


def cut_off_safetensors() -> bytes:
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [25], "data_offsets": [0, 100]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"0" * 99


IMPOSTORS = {
    "page": (lambda: b"\n<!DOCTYPE html>\n<html><head><title>Sign in</title>", "is a web page, not weights"),
    "page without a type": (lambda: b"<HTML><body>Quota exceeded", "is a web page, not weights"),
    "storage's answer": (lambda: b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "is a web page, not weights"),
    "pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 346\n",
        "is a pointer of Git LFS, not the weights that it stands for; run `git lfs pull` there",
    ),
    "nothing": (lambda: b"", "is empty; fetch it again"),
    "archive": (cut_off_archive, "is cut off after "),
    "safetensors": (cut_off_safetensors, "is cut off after "),
}


@pytest.mark.parametrize("name", IMPOSTORS)
def test_what_is_no_file_of_weights_is_recognised_and_not_kept(project, name):
    content, said = IMPOSTORS[name][0](), IMPOSTORS[name][1]
    (project / "elsewhere/x.pth").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        locate(declared((project / "elsewhere/x.pth").as_uri()), None)
    assert str(caught.value).startswith("x.pth: can't be fetched from file://")
    assert "\n" not in str(caught.value)
    assert list(CACHE.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in IMPOSTORS if name != "safetensors"])
def test_one_that_an_earlier_download_left_is_fetched_again(project, name):
    CACHE.mkdir(parents=True)
    (CACHE / "x.pth").write_bytes(IMPOSTORS[name][0]())
    assert locate(declared((project / "elsewhere/x.pth").as_uri()), None).read_bytes() == b"weights"


def test_a_page_in_the_user_s_own_folder_is_named_and_left(project):
    (project / "elsewhere/x.pth").write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"^elsewhere/x\.pth: is a web page"):
        locate(declared(), "elsewhere")
    assert (project / "elsewhere/x.pth").exists()


def test_a_mirror_that_answers_with_a_page_is_passed_over(project):
    (project / "mirror").mkdir()
    (project / "mirror/x.pth").write_text("<html>404</html>")
    found = locate(declared((project / "elsewhere/x.pth").as_uri()), (project / "mirror").as_uri())
    assert found.read_bytes() == b"weights"


def test_whole_files_have_no_fault(project):
    whole = cut_off_safetensors() + b"0"
    (project / "x.safetensors").write_bytes(whole)
    assert fault_of(project / "x.safetensors") is None
    (project / "x.safetensors").write_bytes(whole[:-1])
    assert f"is cut off after {len(whole) - 1} of {len(whole)} bytes" in str(fault_of(project / "x.safetensors"))
    assert fault_of(project / "elsewhere/x.pth") is None
