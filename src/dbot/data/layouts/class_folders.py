"""Layout `class-folders`: a set that is only measured on, a folder for each class with images in it (ImageNet-V2, -A, -R, -Sketch)."""

from collections.abc import Callable
from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.folders import holds_folders, walk
from dbot.data.layouts.listing import Listing, Place, Sample
from dbot.params.datasets import Dataset


def needs(dataset: Dataset) -> str:
    return f"folders of classes right in {dataset.validation.images}/"


def fits(root: Path, dataset: Dataset) -> bool:
    folder = root / dataset.validation.images
    return folder.is_dir() and holds_folders(folder)


def read(place: Place) -> Listing:
    images = place.split("validation").images
    classes, samples, left_out = listed(place.root / images)
    prefix = "" if images == "." else f"{images}/"
    below = [Sample(prefix + sample.path, sample.label) for sample in samples]
    return Listing(classes, {"train": [], "validation": below}, parts=("validation",), left_out=left_out)


def listed(folder: Path, expected: Callable[[str], bool] = lambda name: True) -> tuple[list[str], list[Sample], list[str]]:
    """The classes of a folder of class folders, its images relative to it, and what was passed over, a line each.

    Args:
        folder: where they lie.
        expected: whether a folder's name can be that of a class.

    Raises:
        UserError: it holds no class folders, one without images, or one that isn't expected.
    """
    if not folder.is_dir() or not holds_folders(folder):
        raise UserError(f"{folder}: holds no folders of classes with images; name a folder that does")
    found = walk(folder)
    if strangers := [name for name in found.folders if not expected(name)]:
        raise UserError(f"{folder / strangers[0]}: is not called as a class of this set is; take it out, or name the right folder")
    of_class: dict[str, list[str]] = {name: [] for name in found.folders}
    astray = 0
    for image in found.images:
        name, _, file = image.partition("/")
        if file:
            of_class[name].append(image)
        else:
            astray += 1
    if empty := [name for name, images in of_class.items() if not images]:
        raise UserError(f"{folder / empty[0]}: holds no image; complete it, or remove it")
    samples = [Sample(image, label) for label, name in enumerate(found.folders) for image in of_class[name]]
    said = [*([f"{astray} images in no class folder"] if astray else []), *filter(None, [str(found.left_out)])]
    return found.folders, samples, [f"{folder}: left out: {', '.join(said)}"] if said else []
