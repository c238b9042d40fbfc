"""Contact sheets of sets with classes, with objects and with label maps."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dbot.cli import main
from dbot.data.manifest import read_manifest
from dbot.lineage import receipt as receipts
from dbot.pictures.contact import contact_sheet
from tests.params_text import params_text

SETS = ("digits", "scenes-boxes", "scenes-maps")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which three small sets are prepared."""
    folder = tmp_path_factory.mktemp("contact")
    text = re.sub(r"train: (400|2000), validation: (150|500)", "train: 20, validation: 10", params_text())
    (folder / "params.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in SETS:
            assert main(["generate", "--scale", "demo", "--dataset", name]) == 0
            assert main(["prepare", "--scale", "demo", "--dataset", name]) == 0
    return folder


@pytest.mark.parametrize("name", SETS)
def test_a_prepared_set_has_a_sheet_that_its_receipt_names(prepared: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(prepared)
    place = Path("results/demo/prepare") / name
    found = receipts.read(place / "receipt.json")
    receipts.verified(place, "sheet.jpg", found.artifacts["sheet.jpg"])
    content = (place / "sheet.jpg").read_bytes()
    manifest = read_manifest(place)
    assert contact_sheet(manifest) == content, "made again it differs"
    pixels = np.array(Image.open(io.BytesIO(content)))
    assert pixels.shape[1] > 4 * 200, "four images stand side by side"
    picture = np.array(Image.open(manifest.root / manifest.samples("train").paths[0]).convert("RGB"))
    assert np.abs(pixels.reshape(-1, 3).astype(int) - picture[0, 0].astype(int)).sum(axis=1).min() < 40, "its first image is not on it"
