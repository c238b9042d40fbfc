"""Layout `corruptions`: `corruption/severity/class/image`, as ImageNet-C has it (Hendrycks & Dietterich, arXiv 1903.12261).

The corruptions lie right in the root, or below the folders of the archives that people download (`noise/`, `blur/`, …).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.layouts import class_folders
from dbot.data.layouts.listing import Listing, Place, Sample
from dbot.params.datasets import Dataset

CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
"""The corruptions of the benchmark, in its order."""
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""Corruptions that are meant for development and count nowhere."""
SEVERITIES = range(1, 6)
GROUPS = ("noise", "blur", "weather", "digital")
"""Folders of ImageNet-C's archives, below which the corruptions may lie."""


def needs(dataset: Dataset) -> str:
    return f"corruption/severity/class/image below {dataset.validation.images}/, such as gaussian_noise/1/n01440764/"


def fits(root: Path, dataset: Dataset) -> bool:
    return bool(_there(root / dataset.validation.images))


def read(place: Place) -> Listing:
    images = place.split("validation").images
    folder = place.root / images
    found = severities(folder)
    prefix = "" if images == "." else f"{images}/"
    labels: dict[str, int] = {}
    samples: list[Sample] = []
    left_out = [f"{folder / name}: left out: a corruption for development, which counts nowhere" for name in _extra(folder)]
    for place_of in (each for places in found.values() for each in places):
        classes, inside, more = class_folders.listed(place_of)
        left_out += more
        if not labels:
            labels = {name: number for number, name in enumerate(classes)}
        if strangers := [name for name in classes if name not in labels]:
            raise UserError(f"{place_of / strangers[0]}: no other severity has a class of this name; rename or remove it")
        above = prefix + place_of.relative_to(folder).as_posix()
        samples += [Sample(f"{above}/{sample.path}", labels[classes[sample.label]]) for sample in inside]
    return Listing(list(labels), {"train": [], "validation": samples}, parts=("validation",), left_out=left_out)


def severities(folder: Path, wanted: Iterable[str] | None = None) -> dict[str, list[Path]]:
    """By corruption, in the benchmark's order, the folders of its severities from the mildest on.

    Args:
        folder: in which the corruptions lie, or the folders of their groups.
        wanted: the corruptions that must be there. None: any, those that are.

    Raises:
        UserError: a corruption or a severity is missing.
    """
    there, found = _there(folder), dict[str, list[Path]]()
    for name in wanted or there:
        if name not in there:
            raise UserError(f"{folder}: lacks the corruption {name} (ImageNet-C has {len(CORRUPTIONS)}); complete it")
        found[name] = [there[name] / str(severity) for severity in SEVERITIES]
        if absent := [place for place in found[name] if not place.is_dir()]:
            raise UserError(f"{absent[0]}: is missing (ImageNet-C has severities 1 to {len(SEVERITIES)}); complete it")
    return found


def by_severity(paths: Iterable[str]) -> Mapping[str, list[list[int]]]:
    """By corruption, in the benchmark's order, the numbers of the images of each severity from the mildest on.

    Args:
        paths: of the images, as the layout has them.

    Raises:
        UserError: a path is of no corruption, or a severity has no image.
    """
    found: dict[str, list[list[int]]] = {}
    for number, path in enumerate(paths):
        *_, corruption, severity, _, _ = ("", "", "", *path.split("/"))
        if corruption not in CORRUPTIONS or not severity.isdecimal() or int(severity) not in SEVERITIES:
            raise UserError(f"{path}: doesn't lie in corruption/severity/class; name a set of layout corruptions")
        found.setdefault(corruption, [[] for _ in SEVERITIES])[int(severity) - 1].append(number)
    for corruption, numbers in found.items():
        if not all(numbers):
            empty = numbers.index([]) + 1
            raise UserError(f"{corruption}: severity {empty} has no image; complete the set, or prepare all of it (limit: null)")
    return {name: found[name] for name in CORRUPTIONS if name in found}


def is_corruptions(folder: Path) -> bool:
    """Whether a folder holds any corruption."""
    return folder.is_dir() and bool(_there(folder))


def _there(folder: Path) -> dict[str, Path]:
    places = {name: next(_places(folder, name), None) for name in CORRUPTIONS}
    return {name: place for name, place in places.items() if place is not None}


def _extra(folder: Path) -> list[str]:
    return [place.relative_to(folder).as_posix() for name in EXTRA for place in _places(folder, name, ("", *GROUPS, "extra"))]


def _places(folder: Path, name: str, groups: Iterable[str] = ("", *GROUPS)) -> Iterator[Path]:
    yield from (place for group in groups if (place := folder / group / name).is_dir())
