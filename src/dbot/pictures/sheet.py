"""A contact sheet of pictures in groups under headings, and which images of a set are shown: the best, the worst, and typical ones."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import NamedTuple

from PIL import Image, ImageDraw

from dbot.data.images import encoded
from dbot.pictures.maps import stripes
from dbot.pictures.palette import Colour
from dbot.pictures.text import font, line_height, shortened, width_of, wrapped

MARGIN, GAP, BETWEEN = 16, 4, 20
"""Around the sheet, between the panels of a tile, and between tiles, in pixels."""
NARROWEST = 160
"""Columns are at least this wide, in pixels, so that there is room for captions."""
HEADING, TEXT = 16, 12
"""Sizes of letters, in pixels."""
BLACK, GREY, WHITE = (0, 0, 0), (90, 90, 90), (255, 255, 255)
MOST = 60
"""Entries of a legend; more of them nobody reads."""


@dataclass(frozen=True)
class Tile:
    """An image of the set: one panel a column, and a caption."""

    panels: Sequence[Image.Image]
    name: str
    note: str


Legend = Sequence[tuple[str, Colour | None]]
"""Names and their colours; None is the stripes of no class."""


def sheet(title: str, columns: Sequence[str], groups: Mapping[str, Sequence[Tile]], legend: Legend = ()) -> Image.Image:
    """The sheet: a row a group, its tiles side by side, the panels of each under the names of the columns."""
    tiles = [tile for group in groups.values() for tile in group]
    column = max([NARROWEST, *(panel.width for tile in tiles for panel in tile.panels)])
    tile_width = len(columns) * column + (len(columns) - 1) * GAP
    most = max([1, *(len(group) for group in groups.values())])
    width = most * tile_width + (most - 1) * BETWEEN
    rows = [_title(title, width)]
    rows += [_group(name, group, columns, column, width) for name, group in groups.items() if group]
    rows += [] if tiles else [_line("no image to show", width, TEXT, GREY)]
    rows += [draw_legend(legend, width)] if legend else []
    return stacked(rows, width)


def draw_legend(legend: Legend, width: int) -> Image.Image:
    """Swatches with names, in as many lines as they need."""
    high, swatch = line_height(TEXT) + 4, line_height(TEXT)
    entries = [(name, fill, swatch) for name, fill in legend[:MOST]]
    if len(legend) > MOST:
        entries.append((f"and {len(legend) - MOST} more", WHITE, 0))
    placed, x, y = [], 0, 0
    for name, fill, square in entries:
        text = shortened(name, width - square - 6, TEXT)
        wide = square + 6 + width_of(text, TEXT)
        if x and x + wide > width:
            x, y = 0, y + high
        placed.append((x, y, text, fill, square))
        x += wide + 16
    drawn = Image.new("RGB", (width, y + high), WHITE)
    for left, top, text, fill, square in placed:
        drawn.paste(Image.fromarray(stripes(swatch, square)) if fill is None else Image.new("RGB", (square, swatch), fill), (left, top))
        ImageDraw.Draw(drawn).text((left + square + 6, top), text, fill=BLACK, font=font(TEXT))
    return drawn


def jpeg(picture: Image.Image) -> bytes:
    """The bytes of a picture, without chroma subsampling, which blurs thin coloured lines."""
    return encoded(picture, "JPEG", quality=85, subsampling=0)


def _title(text: str, width: int) -> Image.Image:
    return stacked([_line(line, width, TEXT, GREY) for line in wrapped(text, width, TEXT)], width, margin=0, between=0)


def _group(name: str, tiles: Sequence[Tile], columns: Sequence[str], column: int, width: int) -> Image.Image:
    """A heading, the names of the columns, the panels, and the captions."""
    high, tallest = line_height(TEXT), max(panel.height for tile in tiles for panel in tile.panels)
    top = line_height(HEADING) + 4 + high + 2
    drawn = Image.new("RGB", (width, top + tallest + 2 + high), WHITE)
    canvas = ImageDraw.Draw(drawn)
    canvas.text((0, 0), name, fill=BLACK, font=font(HEADING))
    tile_width = len(columns) * (column + GAP) - GAP
    for number, tile in enumerate(tiles):
        left = number * (tile_width + BETWEEN)
        for place, (panel, heading) in enumerate(zip(tile.panels, columns, strict=True)):
            x = left + place * (column + GAP)
            canvas.text((x, top - high - 2), shortened(heading, column, TEXT), fill=GREY, font=font(TEXT))
            drawn.paste(panel, (x, top))
        note = shortened(tile.note, tile_width, TEXT)
        room = tile_width - width_of(note, TEXT) - 2 * GAP
        below = top + max(panel.height for panel in tile.panels) + 2
        canvas.text((left, below), note, fill=BLACK, font=font(TEXT))
        canvas.text((left + width_of(note, TEXT) + 2 * GAP, below), shortened(tile.name, room, TEXT), fill=GREY, font=font(TEXT))
    return drawn


def _line(text: str, width: int, size: int, fill: Colour) -> Image.Image:
    drawn = Image.new("RGB", (width, line_height(size)), WHITE)
    ImageDraw.Draw(drawn).text((0, 0), text, fill=fill, font=font(size))
    return drawn


def stacked(rows: Sequence[Image.Image], width: int, margin: int = MARGIN, between: int = MARGIN) -> Image.Image:
    """Pictures of up to ``width`` pixels below each other, on white."""
    height = sum(row.height for row in rows) + between * (len(rows) - 1)
    drawn = Image.new("RGB", (width + 2 * margin, height + 2 * margin), WHITE)
    y = margin
    for row in rows:
        drawn.paste(row, (margin, y))
        y += row.height + between
    return drawn


class Ranked(NamedTuple):
    """What an image is worth."""

    place: int
    """Its number in the set."""
    score: float
    """Higher is better."""
    objects: int
    """How much there is to see: of images with equal scores those with more are shown."""


def chosen(ranked: Iterable[Ranked], each: int) -> dict[str, list[Ranked]]:
    """Up to ``each`` images a group, none in two groups; the order of ``ranked`` decides nothing.

    Returns:
        `best`, the best first, `typical`, the nearest to the median first, and `worst`, the worst first.
    """
    left = sorted(ranked)
    middle = median_low(one.score for one in left) if left else 0.0
    # Of few images each group gets its share.
    best, worst, typical = (min(each, (len(left) + more) // 3) for more in (2, 1, 0))

    def taken(count: int, distance: Callable[[Ranked], float]) -> list[Ranked]:
        first = sorted(left, key=lambda one: (distance(one), -one.objects))[:count]
        left[:] = [one for one in left if one not in first]
        return first

    groups = {
        "best": taken(best, lambda one: -one.score),
        "worst": taken(worst, lambda one: one.score),
        "typical": taken(typical, lambda one: abs(one.score - middle)),
    }
    return {name: groups[name] for name in ("best", "typical", "worst")}
