"""Label maps of the images of a folder, as numbers and in colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

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

WINDOWS = 4
"""Windows in one forward pass."""


def predict_maps(
    segmenter: Segmenter,
    recipe: Segment,
    classes: Sequence[str],
    images: ImageFolder,
    statistics: Normalisation,
    device: torch.device,
    output: Path,
) -> int:
    """Write `maps/`, `classes.txt` and `pictures/`; returns the number of maps.

    A map is a PNG with one channel: the class of each pixel, numbered from 1 as layout `labelmaps`
    reads them; 0 would be no class. `classes.txt` has a line for each, in the form of ADE20K's table.

    Args:
        segmenter: in eval mode, on the device.
        recipe: its recipe, which says how images are looked at.
        classes: names.
        images: what to look at.
        statistics: of the pixels.
        device: where the segmenter is.
        output: folder to write into.

    Raises:
        UserError: no image can be decoded.
    """
    autocast, count = autocast_type(recipe.precision), 0
    for name, image in images:
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            classes_HW = label_image(segmenter, image.to(device), image.shape[1:], recipe.inference, statistics, WINDOWS).cpu()
        values = Image.fromarray((classes_HW.numpy() + 1).astype(np.uint8))
        write(output / "maps" / placed(name, ".png"), encoded(values, "PNG", compress_level=6))
        drawn = draw_map_over(image, classes_HW, SIDE)
        width = max(drawn.width, 320)
        picture = stacked([drawn, draw_legend(legend(classes_HW.unique().tolist(), classes), width)], width)
        write(output / "pictures" / placed(name, ".jpg"), jpeg(picture))
        count += 1
    lines = ["number\tname", *(f"{number}\t{name}" for number, name in enumerate(classes, start=1))]
    write(output / "classes.txt", ("\n".join(lines) + "\n").encode())
    return count
