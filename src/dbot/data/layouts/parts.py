"""Where the parts of a set lie that its declaration doesn't state, as the forms that people download call them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dbot.data.layouts.files import Files, from_stem
from dbot.data.layouts.hints import folders
from dbot.data.layouts.listing import PARTS, Part
from dbot.params.datasets import Dataset, LabelMaps, Layout, Split

Folders = Mapping[Part, str]
"""`images` of the parts."""
PART_FOLDERS: Mapping[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev", "test"),
}
"""How the folders of parts are called, in any case, where a declaration doesn't say."""
SUBSETS: Mapping[Layout, tuple[Folders, ...]] = {
    "cifar": ({"train": "train", "validation": "test"},),
    "cars": ({"train": "train", "validation": "test"},),
    "flowers": ({"train": "trnid+valid", "validation": "tstid"},),
    "voc": ({"train": "Segmentation/train", "validation": "Segmentation/val"}, {"train": "train", "validation": "val"}),
    "parquet": ({"train": "train", "validation": "val"}, {"train": "train", "validation": "test"}),
    "webdataset": ({"train": "train", "validation": "val"}, {"train": "train", "validation": "test"}),
    "class-folders": ({"validation": "."},),
    "corruptions": ({"validation": "."},),
    "instance-masks": (
        {"train": "stage1_train", "validation": "stage1_test"},
        {"train": "train", "validation": "val"},
        {"train": "train", "validation": "test"},
    ),
}
"""How layouts whose files name the parts may call them, the likeliest first."""


class Way(NamedTuple):
    """How a form calls what belongs to a part, whose own name stands for `{}`."""

    images: str
    annotations: str
    list_file: str | None = None
    label_maps: LabelMaps | None = None
    """What its values stand for, where the names tell the form."""

    def split(self, name: str) -> Split:
        """What a declaration would say of a part of this name."""
        listed = None if self.list_file is None else self.list_file.format(name)
        return Split(images=self.images.format(name), annotations=self.annotations.format(name), list_file=listed)


COCO = (
    *(Way(f"{above}{{}}{year}", f"annotations/instances_{{}}{year}.json") for year in ("2017", "2014", "") for above in ("", "images/")),
    *(Way(images, "annotations/{}.json") for images in ("{}", "images/{}")),
    Way("{}", "{}.json"),
    Way("{}", "{}/annotations.json"),
)
FROM_ZERO = LabelMaps(first_class=0, void=[255])
CITYSCAPES = FROM_ZERO.model_copy(update={"image_suffix": "_leftImg8bit", "map_suffix": "_gtFine_labelTrainIds"})
LABEL_IDS = LabelMaps(
    values=[7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33],
    void=[0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255],
    image_suffix="_leftImg8bit",
    map_suffix="_gtFine_labelIds",
)
"""Cityscapes as it is downloaded: of its 34 ids, the 19 that are evaluated (`labels.py` of cityscapesScripts), in that order."""
LABEL_MAPS = (
    Way("images/{}", "annotations/{}"),
    Way("leftImg8bit/{}", "gtFine/{}", None, CITYSCAPES),
    Way("leftImg8bit/{}", "gtFine/{}", None, LABEL_IDS),
    Way("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/{}.txt", FROM_ZERO),
    Way("JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext/{}.txt"),
    Way("{}", "{}annot", None, LabelMaps(first_class=0, void=[11])),
    *(Way("images/{}", f"{maps}/{{}}") for maps in ("masks", "maps", "labels")),
    *(Way("{}/images", f"{{}}/{maps}") for maps in ("annotations", "masks", "maps", "labels")),
    *(Way("images", maps) for maps in ("annotations", "masks", "maps")),
)
"""ADE20K's, Cityscapes', Pascal VOC's, Pascal Context's and CamVid's (whose 11 classes are followed by the value for none) first. The last
ones have no parts: both are the one folder, which `prepare` refuses unless that is meant."""


def filled(root: Path, layout: Layout, dataset: Dataset) -> list[Dataset]:
    """A declaration with the folders of the parts that it doesn't state, as a layout may call them, the likeliest first.

    Which folders there are decides nothing for images without labels: all are read, but those that are stated apart.
    """
    if layout == "images":
        return [dataset]
    if layout in ("coco", "labelmaps") and (found := _annotated(root, layout, dataset)) is not None:
        return [found]
    ways = SUBSETS.get(layout) or (_usual(root),)
    # Of Pascal VOC the lists of images with masks come first, and they are a part of those with boxes.
    return [_with_parts(dataset, called) for called in (ways[::-1] if layout == "voc" and dataset.boxes_only else ways)]


def with_usual(root: Path, dataset: Dataset) -> Dataset:
    """A declaration with the folders of a root that are called as those of parts are, where it states none."""
    return _with_parts(dataset, _usual(root))


def _usual(root: Path) -> Folders:
    below = {name.lower(): name for name in folders(root)}
    known = {part: [below[name] for name in PART_FOLDERS[part] if name in below] for part in PARTS}
    return {part: names[0] for part, names in known.items() if names}


def _with_parts(dataset: Dataset, called: Folders) -> Dataset:
    unstated = {part: folder for part, folder in called.items() if part not in dataset.model_fields_set}
    return dataset.model_copy(update={part: Split(images=folder) for part, folder in unstated.items()})


def _annotated(root: Path, layout: Layout, dataset: Dataset) -> Dataset | None:
    """A declaration with images and annotations of those parts whose annotations it doesn't name; None where nothing is known that fits."""
    wanted = [part for part in PARTS if getattr(dataset, part).annotations is None]
    if not wanted:
        return None
    found: list[Dataset] = []

    def fits(files: Files) -> bool:
        found.extend(_completed(files, layout, dataset, wanted))
        return bool(found)

    return found[0] if Files.holding(root, fits) is not None else None


def _completed(files: Files, layout: Layout, dataset: Dataset, wanted: Sequence[Part]) -> Iterator[Dataset]:
    """The declaration by the first way in which all wanted parts are called."""
    for way in COCO if layout == "coco" else LABEL_MAPS:
        splits = {part: _called(files, layout, dataset, part, way) for part in wanted}
        if all(splits.values()):
            told = {"label_maps": way.label_maps} if way.label_maps and "label_maps" not in dataset.model_fields_set else {}
            yield dataset.model_copy(update=splits | told)
            return


def _called(files: Files, layout: Layout, dataset: Dataset, part: Part, way: Way) -> Split | None:
    """A part as a way calls it, if that is there; what the declaration states of it holds."""
    stated: Split | None = getattr(dataset, part) if part in dataset.model_fields_set else None
    for name in dict.fromkeys(written for called in PART_FOLDERS[part] for written in (called, called.capitalize())):
        split = way.split(name)
        if stated is not None:
            if stated.images != split.images:
                continue
            split = stated.model_copy(update={"annotations": split.annotations, "list_file": stated.list_file or split.list_file})
        if _is_there(files, layout, split, way.label_maps):
            return split
    return None


def _is_there(files: Files, layout: Layout, split: Split, label_maps: LabelMaps | None) -> bool:
    if not files.has_folder(split.images) or (split.list_file is not None and not files.has(split.list_file)):
        return False
    annotations, suffix = split.annotations or "", (label_maps.map_suffix if label_maps else None) or ""
    if layout == "coco":
        return files.has(annotations)
    return files.has_folder(annotations) and any(from_stem(name).endswith(suffix) for name in files.names(annotations))
