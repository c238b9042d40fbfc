"""Layout `labelmaps`: folders of images and, under the same names, label maps (ADE20K's challenge set).

A label map says the class of each pixel, from 1; 0 is a pixel without a class.
"""

from pathlib import Path

from dbot.data.layouts.imagefolder import image_files
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Sample
from dbot.errors import UserError
from dbot.params.datasets import Dataset

NAMES = "objectInfo150.txt"
"""ADE20K's table of classes: tab-separated, the name in the last column; in other sets it may have any number of lines."""


def needs(dataset: Dataset) -> str:
    splits = (dataset.train, dataset.validation)
    return " and ".join(f"{split.images}/ with label maps in {split.annotations}/" for split in splits)


def fits(root: Path, dataset: Dataset) -> bool:
    splits = (dataset.train, dataset.validation)
    return all((root / split.images).is_dir() and split.annotations is not None and (root / split.annotations).is_dir() for split in splits)


def read(place: Place) -> Listing:
    samples: dict[Part, list[Sample]] = {}
    for part in PARTS:
        folder, maps = place.split(part).images, place.annotations(part)
        by_stem = {str(Path(name).with_suffix("")): name for name in image_files(place.root / maps)}
        images = image_files(place.root / folder)
        stems = [str(Path(name).with_suffix("")) for name in images]
        if missing := [stem for stem in stems if stem not in by_stem]:
            more = f", as are those of {len(missing) - 1} other images" if missing[1:] else ""
            remedy = f"get it from {place.dataset.source}, or remove its image"
            raise UserError(f"{place.root / maps / missing[0]}.png: the label map is missing{more}; {remedy}")
        samples[part] = [Sample(f"{folder}/{name}", NO_LABEL, f"{maps}/{by_stem[stem]}") for name, stem in zip(images, stems, strict=True)]
    return Listing(_classes(place), samples, label_maps=True)


def _classes(place: Place) -> list[str]:
    path = place.root / NAMES
    if path.is_file():
        lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return [line.split("\t")[-1].strip() for line in lines[1:]]
    if place.dataset.classes is None:
        raise UserError(f"{place.key('classes')} is null, and {path} is missing: state the number of classes")
    return [str(number) for number in range(1, place.dataset.classes + 1)]
