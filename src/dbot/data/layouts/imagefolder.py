"""Layout `imagefolder`: a folder for each part, in it a folder for each class, in it images (ImageNet)."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.folders import Found, holds_folders, plain, walk
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset


def needs(dataset: Dataset) -> str:
    return f"folders of classes below {dataset.train.images}/ and {dataset.validation.images}/"


def fits(root: Path, dataset: Dataset) -> bool:
    return all((root / split.images).is_dir() for split in (dataset.train, dataset.validation))


def has_class_folders(root: Path, dataset: Dataset) -> bool:
    """Whether both parts hold folders at all."""
    return all(holds_folders(root / split.images) for split in (dataset.train, dataset.validation))


def read(place: Place) -> Listing:
    folders = {part: place.root / place.split(part).images for part in PARTS}
    found = {part: walk(folder) for part, folder in folders.items()}
    classes = _class_folders(place, folders["train"], found["train"])
    labels = {name: label for label, name in enumerate(classes)}
    samples: dict[Part, list[Sample]] = {}
    left_out: list[str] = []
    for part, folder in folders.items():
        names = _class_folders(place, folder, found[part])
        if strangers := [name for name in names if name not in labels]:
            near = next((name for name in classes if plain(name) == plain(strangers[0])), None)
            like = "" if near is None else f", but for {near}, which differs in capitals or in how Unicode writes its letters"
            raise UserError(f"{folder / strangers[0]}: no class of {folders['train']} has this name{like}; rename or remove it")
        of_class: dict[str, list[str]] = {name: [] for name in names}
        astray: list[str] = []
        for image in found[part].images:
            name, _, file = image.partition("/")
            (of_class[name] if file else astray).append(file or name)
        if empty := [name for name in names if not of_class[name]]:
            more = f" (nor do {len(empty) - 1} other class folders)" if empty[1:] else ""
            raise UserError(f"{folder / empty[0]}: holds no image{more}; complete it from {place.dataset.source}, or remove it")
        prefix = place.split(part).images
        samples[part] = [Sample(f"{prefix}/{name}/{file}", labels[name]) for name in names for file in sorted(of_class[name])]
        beside = [f"{len(astray)} images in no class folder ({astray[0]})"] if astray else []
        if said := ", ".join([*beside, *filter(None, [str(found[part].left_out)])]):
            left_out.append(f"{folder}: left out: {said}")
    return Listing(classes, samples, left_out=left_out)


def _class_folders(place: Place, folder: Path, found: Found) -> list[str]:
    if not found.folders:
        raise UserError(
            f"{folder}: holds no class folders; unpack the data so that {needs(place.dataset)} lie in {place.root}, "
            f"or set {place.key('layouts')}: [images] for images without labels"
        )
    return found.folders
