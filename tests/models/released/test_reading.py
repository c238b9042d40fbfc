"""Third-party files are data: whatever else they hold is refused before it runs, in one line."""

import argparse
import os
import pickle
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.models.released.reading import read_tensors
from tests.models.released.conftest import DATA


class Payload:
    """Runs a command when it is unpickled by a program that lets it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


class Thing:
    """No data, though harmless."""


def refused(path):
    with pytest.raises(UserError) as caught:
        read_tensors(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_payload_never_runs(tmp_path, protocol, zipped):
    file, ran = tmp_path / "evil.pth", tmp_path / "ran"
    content = {"model": {"cls_token": torch.ones(1)}, "args": Payload(ran)}
    if zipped:
        torch.save(content, file, pickle_protocol=protocol)
    else:
        file.write_bytes(pickle.dumps({"args": Payload(ran)}, protocol=protocol))
    assert "nothing of it was run" in refused(file)
    assert not ran.exists()


def test_an_object_that_isn_t_data_is_named(tmp_path):
    torch.save({"model": {"cls_token": torch.ones(1)}, "x": Thing()}, tmp_path / "x.pth")
    assert "tests.models.released.test_reading.Thing" in refused(tmp_path / "x.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pth")
    assert "torch.nn.modules.linear.Linear" in refused(tmp_path / "x.pth")


def test_settings_beside_the_weights_are_no_harm(tmp_path):
    content = {"epoch": 3, "args": argparse.Namespace(lr=1e-3, names=["a"]), "model": {"w": torch.ones(2, dtype=torch.float16)}}
    torch.save(content, tmp_path / "x.pth")
    found = read_tensors(tmp_path / "x.pth")
    assert list(found) == ["w"]
    assert found["w"].dtype == torch.float32


def test_files_from_before_2020_are_read(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_tensors(tmp_path / "x.pth")["w"], torch.ones(2))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
def test_a_program_is_no_weights(tmp_path):
    torch.jit.trace(torch.nn.Identity(), torch.ones(1)).save(tmp_path / "clip.pt")
    assert "TorchScript" in refused(tmp_path / "clip.pt")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9])
def test_a_file_that_was_cut_off(tmp_path, share):
    whole = (DATA / "official_layout_symmetric_pre.pth").read_bytes()
    (tmp_path / "x.pth").write_bytes(whole[: int(len(whole) * share)])
    assert "fetch it again" in refused(tmp_path / "x.pth")


def test_what_is_no_file_of_weights(tmp_path):
    (tmp_path / "page.pth").write_text("<html>404</html>")
    assert "is a web page, not weights" in refused(tmp_path / "page.pth")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    assert "is a pointer of Git LFS" in refused(tmp_path / "pointer.pth")
    (tmp_path / "text.pth").write_text("weights")
    assert "neither a checkpoint of torch nor safetensors" in refused(tmp_path / "text.pth")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a", "b")
    refused(tmp_path / "photos.zip")
    torch.save({"epoch": 1, "model": [1, 2]}, tmp_path / "x.pth")
    assert "holds no weights by name" in refused(tmp_path / "x.pth")
    assert "can't be read" in refused(tmp_path)
    assert "can't be read" in refused(tmp_path / "nowhere.pth")


@settings(max_examples=60, deadline=None)
@given(at=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_one_line_or_still_tensors(tmp_path_factory, at):
    content = bytearray((DATA / "official_layout_symmetric_pre.pth").read_bytes())
    for share, value in at:
        content[int(share * (len(content) - 1))] = value
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(content)
    try:
        read_tensors(path)
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 (both ends are right)
