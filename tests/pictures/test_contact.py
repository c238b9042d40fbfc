"""Contact sheets of sets with classes, with objects and with label maps."""

import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dbot.cli import main
from dbot.data.images import read_image
from dbot.data.labelmaps.pairs import Pairs
from dbot.data.manifest import Manifest, read_manifest
from dbot.data.objects.annotations import read_objects
from dbot.lineage import receipt as receipts
from dbot.pictures.contact import SIDE, contact_sheet
from dbot.pictures.detection import true_objects
from dbot.pictures.maps import draw_map_over, shown_size, sized_image
from dbot.pictures.objects import draw_objects
from dbot.pictures.sheet import MARGIN
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
    pixels = np.array(Image.open(io.BytesIO(content)), dtype=np.int64)
    shown = _first_image(manifest, name)
    height, width = shown.shape[:2]
    column = pixels[:, MARGIN : MARGIN + width]
    apart = [np.abs(column[top : top + height] - shown).mean() for top in range(len(column) - height + 1)]
    # JPEG moves a pixel by a few levels; another image, or one without what is known of it, by tens.
    assert min(apart) < 5


def _first_image(manifest: Manifest, name: str) -> npt.NDArray[np.int64]:
    """The first training image with what is known of it, drawn apart from the sheet."""
    image = read_image(manifest.root / manifest.samples("train").paths[0])
    if name == "scenes-boxes":
        drawn = draw_objects(image, true_objects(read_objects(manifest, "train"), 0), manifest.classes, SIDE)
    elif name == "scenes-maps":
        drawn = draw_map_over(image, Pairs(manifest, "train")[0][1], SIDE)
    else:
        drawn = Image.fromarray(sized_image(image, shown_size(image.shape, SIDE)))
    return np.array(drawn, dtype=np.int64)
