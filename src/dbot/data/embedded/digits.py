"""Style `digits`: one digit fills the image, for classification."""

import numpy as np
import numpy.typing as npt

from dbot.data.embedded.material import Material, ground, ink, stroke


def draw_digit(material: Material, label: int, side: int, clutter: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One image, uint8 (side, side, 3), of a digit of the given class."""
    pixels = ground(material.photographs, side, clutter, rng)
    members = material.digits[label]
    digit = members[rng.integers(len(members))]
    width, height = (round(side * share) for share in rng.uniform(0.8, 1.0, 2))
    left, top = rng.integers(side - width + 1), rng.integers(side - height + 1)
    opacity = stroke(digit, width, height, rng.uniform(-12, 12))[:, :, None]
    # A view: what is pasted below lands in the image.
    behind = pixels[top : top + height, left : left + width]
    behind += opacity * (ink(behind.reshape(-1, 3), rng) - behind)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
