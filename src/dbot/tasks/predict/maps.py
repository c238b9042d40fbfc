"""Label maps of the images of a folder, as numbers and in colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dbot.base.errors import UserError
from dbot.data.images import encoded
from dbot.models.segmenter import Segmenter
from dbot.params.dense import Segment
from dbot.params.scales import Normalisation
from dbot.pictures.maps import draw_map_over
from dbot.pictures.segmentation import legend
from dbot.pictures.sheet import draw_legend, jpeg, stacked
from dbot.tasks.predict.folder import SIDE, ImageFolder, placed, write
from dbot.tasks.windows import label_image
from dbot.train.precision import autocast_type

MOST = 2**16 - 1
"""Largest value that a PNG holds."""
WINDOWS = 4
"""Windows in one forward pass."""


def predict_maps(
    segmenter: Segmenter,
    recipe: Segment,
    classes: Sequence[str],
    values: Sequence[int] | None,
    images: ImageFolder,
    statistics: Normalisation,
    device: torch.device,
    output: Path,
) -> int:
    """Write `maps/`, `classes.txt` and `pictures/`; returns the number of maps.

    A map is a PNG with one channel, of 8 bits if they hold all values, else 16: of each pixel the value of its class. No pixel is void.
    `classes.txt` has a line for each class, in the form of ADE20K's table: its value and its name.

    Args:
        segmenter: in eval mode, on the device.
        recipe: its recipe, which says how images are looked at.
        classes: names.
        values: of the classes in the label maps that the segmenter was trained on. None: not known; classes are numbered from 1 on.
        images: what to look at.
        statistics: of the pixels.
        device: where the segmenter is.
        output: folder to write into.

    Raises:
        UserError: no image can be decoded, or a value needs more than 16 bits.
    """
    table = np.array(range(1, len(classes) + 1) if values is None else values)
    if table.max() > MOST:
        raise UserError(f"{output}: the classes of the label maps have values up to {table.max()}, and a PNG holds {MOST} at most")
    table = table.astype(np.min_scalar_type(table.max()))
    autocast, count = autocast_type(recipe.precision), 0
    for name, image in images:
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            classes_HW = label_image(segmenter, image.to(device), image.shape[1:], recipe.inference, statistics, WINDOWS).cpu()
        found = Image.fromarray(table[classes_HW.numpy()])
        write(output / "maps" / placed(name, ".png"), encoded(found, "PNG", compress_level=6))
        drawn = draw_map_over(image, classes_HW, SIDE)
        width = max(drawn.width, 320)
        picture = stacked([drawn, draw_legend(legend(classes_HW.unique().tolist(), classes), width)], width)
        write(output / "pictures" / placed(name, ".jpg"), jpeg(picture))
        count += 1
    head = "number" if values is None else "value"
    lines = [f"{head}\tname", *(f"{value}\t{name}" for value, name in zip(table, classes, strict=True))]
    write(output / "classes.txt", ("\n".join(lines) + "\n").encode())
    return count
