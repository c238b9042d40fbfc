"""From a folder of one's own images to a student, on top of the demo's recipes."""

from pathlib import Path

import pytest
from PIL import Image

from dbot.cli import main
from dbot.lineage import receipt as receipts

OWN = """
  own:
    title: our photographs
    extends: demo
    overrides:
      uses: {pretrain: mine}
      datasets: {mine: {root: $PHOTOS}}
      recipes: {pretrain: {asymmetric: {epochs: 2}}}
"""


@pytest.fixture
def photos(project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 20 images that a scale of one's own is pre-trained on."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(20):
        Image.effect_noise((40, 36), 20 + number).convert("RGB").save(folder / f"{number}.jpg")
    monkeypatch.setenv("PHOTOS", str(folder))
    text = (project / "params.yaml").read_text()
    head, scales, tail = text.partition("\nscales:")
    first, _, rest = tail.partition("\n")
    (project / "params.yaml").write_text(f"{head}{scales}{first}{OWN}{rest}")
    return folder


def test_unlabelled_images_are_prepared_and_distilled(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "notes.txt").write_text("")
    assert main(["prepare", "--scale", "own", "--dataset", "mine"]) == 0
    said = capsys.readouterr().out
    assert f"{photos}: left out: 1 .txt" in said
    assert f"prepare mine: 20 training images without labels in {photos}" in said
    assert "    layouts: [images]" in said
    assert main(["distill", "--scale", "own", "--row", "B-B", "--stage", "1"]) == 0
    assert receipts.read(Path("results/own/distill/B-B/stage1/receipt.json")).results["steps"] == 2
