"""`dbot predict`: from a checkpoint and a folder of images to files that others read."""

import json
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from dbot.cli import main
from dbot.models import checkpoint
from dbot.models.pyramid import build_pyramid
from dbot.models.segmenter import build_segmenter
from tests.tasks import small_segmentation
from tests.tasks.predict.small import CLASSES, detector_checkpoint
from tests.train.small import ARCHITECTURE


@pytest.fixture
def photos(project: Path) -> Path:
    draws = numpy.random.default_rng(0)
    (project / "photos/below").mkdir(parents=True)
    for name, size in (("1.png", (20, 30)), ("below/2.jpg", (40, 64))):
        Image.fromarray(draws.integers(0, 256, (*size, 3)).astype("uint8")).save(project / "photos" / name)
    return project / "photos"


def test_a_detector_end_to_end(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector_checkpoint(Path("detector.safetensors"))
    (photos / "broken.png").write_bytes(b"no")
    for _ in range(2):  # the second time in place of the first
        assert main(["predict", "photos", "--checkpoint", "detector.safetensors", "--output", "found"]) == 0
        said = capsys.readouterr().out
        assert "left out: photos/broken.png: " in said
        assert "objects of 2 images; 1 left out; pictures in found/pictures\n" in said
    content = json.loads(Path("found/detections.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["1.png", "below/2.jpg"]
    assert [category["name"] for category in content["categories"]] == CLASSES
    assert f"wrote found/detections.json: {len(content['annotations'])} objects" in said
    assert sorted(map(str, Path("found").rglob("*.jpg"))) == ["found/pictures/1.jpg", "found/pictures/below/2.jpg"]


@pytest.mark.parametrize(
    ("folder", "name", "more", "said"),
    [
        ("photos", "student", [], "student.safetensors: is a student, which has no heads; train it with `dbot detect` or `dbot segment`"),
        ("photos", "classifier", [], "classifier.safetensors: is a checkpoint of kind classifier; name a detector's"),
        ("photos", "cut", [], "cut.safetensors: lacks "),
        ("photos", "nowhere", [], "nowhere.safetensors: is not a checkpoint that can be read"),
        ("nowhere", "detector", [], "nowhere: is not a folder"),
        (".", "detector", [], "--output is found: must lie neither in nor above the folder of the images, .; name another"),
        ("photos", "detector", ["--score", "2"], "--score is 2: must be from 0 to 1"),
    ],
)
def test_mistakes_are_one_line(
    photos: Path, capsys: pytest.CaptureFixture[str], folder: str, name: str, more: list[str], said: str
) -> None:
    weights, about = checkpoint.load(detector_checkpoint(Path("detector.safetensors")))
    checkpoint.save(Path("cut.safetensors"), dict(list(weights.items())[1:]), about)
    for kind in ("student", "classifier"):
        checkpoint.save(Path(f"{kind}.safetensors"), {"weight": torch.zeros(1)}, {"kind": kind})
    assert main(["predict", folder, "--checkpoint", f"{name}.safetensors", "--output", "found", *more]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not Path("found").exists()


def test_folders_of_somebody_else_are_left_alone(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector_checkpoint(Path("detector.safetensors"))
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("")
    assert main(["predict", "photos", "--checkpoint", "detector.safetensors", "--output", "mine"]) == 2
    assert "mine: exists and was not written by this command" in capsys.readouterr().err
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("said", [{"values": [0, 7, 9]}, {}], ids=["values", "older"])
def test_a_segmenter_end_to_end(photos: Path, capsys: pytest.CaptureFixture[str], said: dict[str, list[int]]) -> None:
    recipe = small_segmentation.recipe()
    torch.manual_seed(0)
    segmenter = build_segmenter(build_pyramid(ARCHITECTURE, recipe, recipe.augmentation.crop), recipe, len(CLASSES))
    about = {"kind": "segmenter", "architecture": ARCHITECTURE.model_dump(), "recipe": recipe.model_dump(), "classes": CLASSES}
    checkpoint.save(Path("segmenter.safetensors"), segmenter.state_dict(), {**about, **said})
    assert main(["predict", "photos", "--checkpoint", "segmenter.safetensors", "--output", "found"]) == 0
    out = capsys.readouterr().out
    assert "wrote found/maps: 2 label maps of 2 images; pictures in found/pictures\n" in out
    assert ("segmenter.safetensors: doesn't say the values of its classes" in out) != bool(said)
    values = {int(value) for path in Path("found/maps").rglob("*.png") for value in numpy.unique(numpy.array(Image.open(path)))}
    assert values <= set(said.get("values", (1, 2, 3)))
    written = sorted(path.relative_to("found").as_posix() for path in Path("found").rglob("*.*") if path.is_file())
    assert written == [".dbot-predict", "classes.txt", "maps/1.png", "maps/below/2.png", "pictures/1.jpg", "pictures/below/2.jpg"]
