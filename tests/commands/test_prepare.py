from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from dbot.cli import main
from dbot.data.manifest import Manifest, read_manifest
from dbot.lineage import receipt as receipts

FOLDER = Path("results/demo/prepare/digits")


@pytest.fixture
def drawn(project: Path) -> Path:
    assert main(["generate", "--scale", "demo", "--dataset", "digits"]) == 0
    return project


def test_receipt_names_digest_and_counts(drawn: Path) -> None:
    generated = "results/demo/generate/digits/receipt.json"
    flags = ["--generated", generated, "--receipt", str(FOLDER / "receipt.json")]
    assert main(["prepare", "--scale", "demo", "--dataset", "digits", *flags]) == 0
    found, manifest = receipts.read(FOLDER / "receipt.json"), read_manifest(FOLDER)
    counts = {"train": 20, "validation": 10, "classes": 10, "unreadable": 0, "defects": 0}
    assert found.results == {"digest": manifest.digest, **counts}
    assert found.inputs["generated"].id == receipts.read(Path(generated)).id
    assert manifest.root == Path("data/digits")


def test_what_was_changed_since_it_was_drawn_is_refused(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next((drawn / "data/digits").rglob("*.png")).unlink()
    assert main(["prepare", "--scale", "demo", "--dataset", "digits"]) == 2
    assert "draw it again: dbot generate" in capsys.readouterr().err
    assert not (FOLDER / "receipt.json").exists()


def test_results_that_cannot_be_written_are_found_before_the_work(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "results").write_text("not a folder")
    assert main(["generate", "--dataset", "digits"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("dbot generate: results/demo/generate/digits: can't be written, ")
    assert "results takes no file (Not a directory)" in said
    assert not (project / "data/digits").exists()


def test_data_that_are_not_there_say_where_to_get_them(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--dataset", "imagenet-1k"]) == 2
    assert "datasets.imagenet-1k.root is null: get ImageNet-1K" in capsys.readouterr().err


@pytest.fixture
def named(project: Path) -> Callable[[str], Manifest]:
    """Prepares a folder of JPEG files that params.yaml names, with further settings."""

    def prepare(settings: str) -> Manifest:
        for part in ("train", "test"):
            for name in "abcdefghij":
                (project / "c10" / part / name).mkdir(parents=True)
                Image.effect_noise((16, 12), 40).convert("RGB").save(project / "c10" / part / name / "0.jpg")
        text = (project / "params.yaml").read_text()
        begin = text.index("  cifar10:")
        own = (
            text[begin:]
            .replace("root: null", f"root: c10\n    {settings}", 1)
            .replace(", count: 50000", "", 1)
            .replace(", count: 10000", "", 1)
        )
        (project / "params.yaml").write_text(text[:begin] + own)
        assert main(["prepare", "--scale", "demo", "--dataset", "cifar10"]) == 0
        return read_manifest(Path("results/demo/prepare/cifar10"))

    return prepare


def test_folder_that_the_user_names_is_prepared_and_shrunk(named: Callable[[str], Manifest]) -> None:
    manifest = named("short_side: 8")
    assert manifest.root == Path("data/prepared/demo/cifar10")
    with Image.open(manifest.root / manifest.samples("train").paths[0]) as image:
        assert (image.format, image.size) == ("JPEG", (11, 8))


def test_a_copy_of_pixels_is_verified_to_the_bit(named: Callable[[str], Manifest], capsys: pytest.CaptureFixture[str]) -> None:
    manifest = named("short_side: 8\n    copies: pixels")
    receipt = str(Path("results/demo/prepare/cifar10/receipt.json"))
    settings = receipts.read(Path(receipt)).settings["dataset"]
    assert settings["copies"] == "pixels"
    assert "jpeg" not in settings
    assert main(["verify", receipt, "--skip-mlflow"]) == 0
    path = manifest.root / manifest.samples("validation").paths[7]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    capsys.readouterr()
    assert main(["verify", receipt, "--skip-mlflow"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"dbot verify: {path}: is not the file in the list")
    assert said.count("\n") == 1
