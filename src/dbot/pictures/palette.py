"""A colour for every class: as far from each other as they can be, and the same in every picture."""

from functools import cache

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

COLOURS = 256
LEVELS = 16
"""Steps of each channel among which colours are chosen."""
LIGHTNESS = (0.4, 0.9)
LEAST_CHROMA = 0.08
"""Nearer to grey than this a colour could be mistaken for the absence of one."""


def colour(number: int) -> Colour:
    """The colour of a class, numbered from 0 on; after 256 they come again."""
    return _palette()[number % COLOURS]


def on(background: Colour) -> Colour:
    """Black or white, whichever is easier to read on a colour."""
    return (0, 0, 0) if _oklab(np.array([background]))[0, 0] > 0.65 else (255, 255, 255)


@cache
def _palette() -> list[Colour]:
    """Each next colour is the one that is farthest from all before it (Glasbey et al. 2007), in Oklab, white and black being the first."""
    channel = np.linspace(0, 255, LEVELS).round().astype(np.int64)
    candidates = np.stack(np.meshgrid(channel, channel, channel, indexing="ij"), axis=-1).reshape(-1, 3)
    places = _oklab(candidates)
    lightness, chroma = places[:, 0], np.hypot(places[:, 1], places[:, 2])
    usable = (lightness >= LIGHTNESS[0]) & (lightness <= LIGHTNESS[1]) & (chroma >= LEAST_CHROMA)
    candidates, places = candidates[usable], places[usable]
    distance = np.minimum(*(np.linalg.norm(places - taken, axis=1) for taken in _oklab(np.array([[0, 0, 0], [255, 255, 255]]))))
    chosen: list[Colour] = []
    for _ in range(COLOURS):
        # Rounded, so that the last bits of another machine's arithmetic decide nothing.
        best = int(distance.round(6).argmax())
        red, green, blue = candidates[best].tolist()
        chosen.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(places - places[best], axis=1))
    return chosen


def _oklab(colours_N3: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Lightness, green-red and blue-yellow of sRGB colours (B. Ottosson, 2020, https://bottosson.github.io/posts/oklab)."""
    encoded = colours_N3 / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    found: npt.NDArray[np.float64] = np.cbrt(linear @ to_cones.T) @ to_lab.T
    return found
