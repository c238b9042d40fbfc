"""Layout `cifar`: CIFAR-10 and CIFAR-100 as their authors' Python pickles."""

import codecs
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import understood
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

SIDE = 32
ARCHIVES = {
    "train": [[f"data_batch_{number}" for number in range(1, 6)], ["train"]],
    "test": [["test_batch"], ["test"]],
}
"""By subset, the files of CIFAR-10, then those of CIFAR-100."""
UNPACKED = ("", "cifar-10-batches-py", "cifar-100-python")
"""The folder that the archives unpack to may be named as the root, or lie below it."""
NAMES = (("batches.meta", "label_names"), ("meta", "fine_label_names"))
LABELS = ("labels", "fine_labels")


def needs(dataset: Dataset) -> str:
    return "the files data_batch_1 to data_batch_5 and test_batch, or train and test"


def fits(root: Path, dataset: Dataset) -> bool:
    return _folder(root) is not None


def read(place: Place) -> Listing:
    """Images get the paths that they will have in the prepared copy: `<subset>/<class>/<position>.png`."""
    folder = _folder(place.root) or place.root
    classes = _class_names(folder)
    packed: dict[str, Any] = {}
    samples: dict[Part, list[Sample]] = {}
    for part in PARTS:
        subset = place.split(part).images
        if subset not in ARCHIVES:
            raise UserError(f"{place.key(part, 'images')} is {subset!r}: the subsets of layout cifar are {' and '.join(ARCHIVES)}")
        samples[part] = []
        for file in _files(folder, subset):
            pixels, labels = _images(folder / file, len(classes))
            for image, label in zip(pixels, labels, strict=True):
                path = f"{subset}/{classes[label]}/{len(samples[part]):05d}.png"
                samples[part].append(Sample(path, label))
                packed[path] = image
    return Listing(classes, samples, packed=packed)


def _folder(root: Path) -> Path | None:
    for name in UNPACKED:
        if (root / name / "data_batch_1").is_file() or (root / name / "train").is_file():
            return root / name
    return None


def _files(folder: Path, subset: str) -> list[str]:
    for files in ARCHIVES[subset]:
        if (folder / files[0]).is_file():
            return files
    raise UserError(f"{folder / ARCHIVES[subset][0][0]}: is missing; unpack the whole archive of the data set")


def _class_names(folder: Path) -> list[str]:
    for file, key in NAMES:
        if (folder / file).is_file():
            content = read_plain_pickle(folder / file)
            with understood(folder / file, "the list of CIFAR's classes"):
                return [str(name) for name in content[key]]
    raise UserError(f"{folder / NAMES[0][0]}: is missing; unpack the whole archive of the data set")


def _images(path: Path, classes: int) -> tuple[Any, list[int]]:
    content = read_plain_pickle(path)
    with understood(path, "a batch of CIFAR"):
        labels = [int(label) for key in LABELS for label in content.get(key, [])]
        # Rows hold the red, then the green, then the blue plane.
        pixels = np.asarray(content["data"]).reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        if pixels.dtype != np.uint8 or len(pixels) != len(labels) or not all(0 <= label < classes for label in labels):
            raise ValueError(f"{len(pixels)} images of type {pixels.dtype} for {len(labels)} labels")
    return pixels, labels


def read_plain_pickle(path: Path) -> Any:
    """The content of a pickle of plain values and numpy arrays, also one that Python 2 wrote.

    Raises:
        UserError: the file can't be read, or asks for anything else.
    """
    try:
        with path.open("rb") as stream:
            return _Plain(stream, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); restore it from the source of the data set") from None
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        ImportError,
        MemoryError,
    ) as error:
        raise UserError(f"{path}: is not a pickle of plain data ({error}); restore it from the source of the data set") from None


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # numpy moved its core to `_core`; files know either name.
        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
            ("numpy._core.numeric", "_frombuffer"): np._core.numeric._frombuffer,  # type: ignore[attr-defined]
            ("_codecs", "encode"): _bytes,
        }
        try:
            return known[module.replace("numpy.core", "numpy._core"), name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data") from None


def _bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes into the pickle protocols of Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return codecs.latin_1_encode(text)[0]
