"""The forms that people download, imitated at some twenty images."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dbot.data.manifest import Manifest
from dbot.data.prepare import prepare
from dbot.params.datasets import Dataset


def jpeg(seed: int, size: tuple[int, int] = (8, 6)) -> bytes:
    """An image file of noise; the same seed gives the same bytes."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def png(values: np.ndarray, palette: bool = False) -> bytes:
    """A label map (H, W)."""
    stream = io.BytesIO()
    image = Image.fromarray(values.astype(np.uint8))
    if palette:
        image = image.convert("P")
        image.putdata(values.astype(np.uint8).flatten().tolist())
        image.putpalette([number * 7 % 256 for number in range(768)])
    image.save(stream, "PNG")
    return stream.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Files on disk."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tar_of(files: dict[str, bytes] | Iterable[tuple[str, bytes]], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in dict(files).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


Prepared = Callable[..., Manifest]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """Prepares a data set; the manifest lies in a folder of its own each time."""
    runs: list[str] = []

    def run(dataset: Dataset) -> Manifest:
        runs.append(f"run{len(runs)}")
        return prepare("it", dataset, tmp_path / runs[-1], tmp_path / runs[-1] / "copy", threads=2, progress_seconds=1e9)

    return run


def same_images(manifest: Manifest, expected: dict[str, list[tuple[int, bytes]]]) -> bool:
    """Whether a prepared set holds, part by part, images of these labels and bytes, in any order."""
    for part, images in expected.items():
        samples = manifest.samples(part)
        found = [(int(label), (manifest.root / path).read_bytes()) for path, label in zip(samples.paths, samples.labels, strict=True)]
        if sorted(found) != sorted(images):
            return False
    return True
