"""A contact sheet: training images of a data set with what is known of them, for a person to see whether it is what was meant."""

from collections.abc import Callable, Collection

from PIL import Image

from dbot.data.images import read_image
from dbot.data.labelmaps.pairs import Pairs
from dbot.data.layouts.listing import Part
from dbot.data.manifest import Manifest
from dbot.data.objects.annotations import read_objects
from dbot.pictures.detection import true_objects
from dbot.pictures.maps import draw_map_over, shown_size, sized_image
from dbot.pictures.objects import draw_objects
from dbot.pictures.segmentation import legend
from dbot.pictures.sheet import Tile, jpeg, sheet

ACROSS, DOWN = 4, 4
"""Images of a sheet."""
SIDE = 224
"""Images fit into a square of this side, in pixels."""

NAMES: dict[Part, str] = {"train": "training", "validation": "validation"}

Tiles = Callable[[int], tuple[Tile, set[int]]]
"""From an image's number to what is shown of it, and the classes on it that the legend explains."""


def contact_sheet(manifest: Manifest) -> bytes:
    """A JPEG of up to 16 training images, evenly spread over the set, with their classes, their objects or their label maps on them.

    Of a set that is only measured on, these are validation images.

    Raises:
        UserError: an image or its annotation can't be read.
    """
    shown_part, total = _part(manifest)
    count = min(ACROSS * DOWN, total)
    places = [number * total // count for number in range(count)]
    tile = _label_maps(manifest) if manifest.label_maps else _objects(manifest, places) if manifest.annotation_files else _classes(manifest)
    made = [tile(place) for place in places]
    rows = {f"{start + 1} to {start + len(part)}": part for start in range(0, count, ACROSS) if (part := made[start : start + ACROSS])}
    shown = set[int]().union(*(classes for _, classes in made))
    title = f"{manifest.title}: {count} of {total} {NAMES[shown_part]} images, evenly spread over the set."
    return jpeg(sheet(title, ("",), {name: [one for one, _ in part] for name, part in rows.items()}, legend(shown, manifest.classes)))


def _part(manifest: Manifest) -> tuple[Part, int]:
    """The part that is shown, and how many images it has: the training part, where there is one."""
    part: Part = "train" if manifest.counts["train"] else "validation"
    return part, manifest.counts[part]


def _classes(manifest: Manifest) -> Tiles:
    samples = manifest.samples(_part(manifest)[0])

    def tile(number: int) -> tuple[Tile, set[int]]:
        path = manifest.root / samples.paths[number]
        image = read_image(path, manifest.upright)
        note = manifest.classes[samples.labels[number]] if manifest.classes else ""
        return Tile([Image.fromarray(sized_image(image, shown_size(image.shape, SIDE)))], path.name, note), set()

    return tile


def _objects(manifest: Manifest, places: Collection[int]) -> Tiles:
    samples, objects = manifest.samples("train"), read_objects(manifest, "train", places)

    def tile(number: int) -> tuple[Tile, set[int]]:
        path, seen = manifest.root / samples.paths[number], true_objects(objects, number)
        picture = draw_objects(read_image(path, manifest.upright), seen, manifest.classes, SIDE)
        return Tile([picture], path.name, f"{len(seen)} objects"), {one.label - 1 for one in seen}

    return tile


def _label_maps(manifest: Manifest) -> Tiles:
    pairs = Pairs(manifest, "train")

    def tile(number: int) -> tuple[Tile, set[int]]:
        image, classes_HW = pairs[number]
        return Tile([draw_map_over(image, classes_HW, SIDE)], str(pairs.paths[number]), ""), set(classes_HW.unique().tolist())

    return tile
