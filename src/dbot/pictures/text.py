"""Text that stays within its bounds."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

ELLIPSIS = "…"


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at a size in pixels.

    Pillow's own font has no letter beyond English; matplotlib's files have Latin, Greek and
    Cyrillic ones, and are found without importing it. The layout is the plain one, which doesn't
    depend on what else a machine has installed.
    """
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib, whose font is drawn with")
    path = Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def line_height(size: int) -> int:
    """Pixels from one line to the next."""
    return sum(font(size).getmetrics())


def width_of(text: str, size: int) -> int:
    """Pixels that a line takes."""
    return int(font(size).getlength(text)) + 1


def shortened(text: str, width: int, size: int) -> str:
    """A text that takes at most ``width`` pixels: its middle is left out, since both ends of a file's name tell something.

    Empty if there is no room for a character.
    """
    if width_of(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        tail = kept // 2
        short = text[: kept - tail] + ELLIPSIS + text[len(text) - tail :]
        if width_of(short, size) <= width:
            return short
    return ""


def wrapped(text: str, width: int, size: int) -> list[str]:
    """Lines of at most ``width`` pixels, broken between words; a word that is longer is shortened."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shortened(word, width, size))
    return lines
