"""Corruptions of small images that need no download, each at five severities (Hendrycks & Dietterich, arXiv 1903.12261).

Strengths are those of CIFAR-10-C, whose images have 32 pixels a side as well, where they are about pixels or colours. Of the
benchmark's fifteen one is missing: frost, which lays photographs of frost over the image.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Pixels = npt.NDArray[np.float64]
"""(H, W, 3), 0 to 1."""
Corruption = Callable[[Pixels, int, np.random.Generator], Pixels]
"""Corrupts an image at a severity, from 0 to 4; what it gives is cut to 0..1."""


def gaussian_noise(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    return image + rng.normal(scale=(0.04, 0.06, 0.08, 0.09, 0.10)[severity], size=image.shape)


def shot_noise(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Poisson noise: so many photons at full brightness."""
    photons = (500, 250, 100, 75, 50)[severity]
    return np.asarray(rng.poisson(image * photons) / photons, dtype=np.float64)


def impulse_noise(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Salt and pepper: a share of the values becomes 0 or 1."""
    drawn, share = rng.random(image.shape), (0.01, 0.02, 0.03, 0.05, 0.07)[severity]
    return np.where(drawn < share / 2, 0.0, np.where(drawn < share, 1.0, image))


def defocus_blur(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Mean over a disk of that radius, its rim smoothed."""
    radius, rim = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))[severity]
    down, across = np.mgrid[-8:9, -8:9]
    disk = ndimage.gaussian_filter((down**2 + across**2 <= radius**2).astype(np.float64), rim)
    return _each(image, lambda plane: ndimage.convolve(plane, disk / disk.sum(), mode="nearest"))


def glass_blur(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Neighbouring pixels change places, between two slight blurs."""
    sigma, times = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))[severity]
    glass = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    height, width, _ = image.shape
    for _ in range(times):
        moves = rng.integers(-1, 2, (height, width, 2))
        for row in range(height - 2, 0, -1):
            for column in range(width - 2, 0, -1):
                down, across = moves[row, column]
                here, there = (row, column), (row + down, column + across)
                glass[here], glass[there] = glass[there].copy(), glass[here].copy()
    return np.asarray(ndimage.gaussian_filter(glass, (sigma, sigma, 0)), dtype=np.float64)


def motion_blur(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """A mean along a line, whose weights fall off as a Gaussian's."""
    length, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[severity]
    return _drawn_out(image, length, sigma, rng.uniform(-45, 45))


def zoom_blur(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Mean of the image and of what a lens sees that comes closer, in steps of 1 %."""
    closest = (1.05, 1.10, 1.15, 1.20, 1.25)[severity]
    picture, side = _picture(image), image.shape[0]
    zoomed = []
    for zoom in np.arange(1.0, closest + 0.005, 0.01):
        rim = (side - side / zoom) / 2
        near = picture.resize((side, side), Image.Resampling.BILINEAR, box=(rim, rim, side - rim, side - rim))
        zoomed.append(np.asarray(near, dtype=np.float64) / 255)
    return np.asarray(np.mean([image, *zoomed], axis=0), dtype=np.float64)


def snow(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Flakes that the wind draws out, twice, over an image that has gone pale."""
    mean, deviation, zoom, least, length, sigma, kept = (
        *((0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95), (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9)),
        *((0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8)),
    )[severity]
    side, drawn = image.shape[0], Image.fromarray(rng.normal(mean, deviation, image.shape[:2]).astype(np.float32))
    rim = (side - side / zoom) / 2
    near = np.asarray(drawn.resize((side, side), Image.Resampling.BILINEAR, box=(rim, rim, side - rim, side - rim)), dtype=np.float64)
    flakes = np.clip(np.where(near < least, 0.0, near), 0, 1)[:, :, None]
    fallen = _drawn_out(flakes, length, sigma, rng.uniform(-135, -45))
    grey = image @ np.array([0.299, 0.587, 0.114])
    pale = kept * image + (1 - kept) * np.maximum(image, 1.5 * grey[:, :, None] + 0.5)
    return np.asarray(pale + fallen + np.rot90(fallen, 2), dtype=np.float64)


def fog(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Bright clouds over all: noise of every scale, the finer the weaker."""
    strength, decay = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))[severity]
    side, clouds = image.shape[0], np.zeros(image.shape[:2])
    for octave in range(1, 6):
        coarse = Image.fromarray(rng.random((2**octave, 2**octave)).astype(np.float32))
        clouds += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64) / decay**octave
    clouds = (clouds - clouds.min()) / max(np.ptp(clouds), 1e-12)
    return np.asarray((image + strength * clouds[:, :, None]) * image.max() / (image.max() + strength), dtype=np.float64)


def brightness(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """More of the value in hue, saturation and value."""
    value = image.max(axis=2, keepdims=True)
    brighter = np.minimum(value + (0.05, 0.1, 0.15, 0.2, 0.3)[severity], 1)
    return np.asarray(np.where(value > 0, image * brighter / np.maximum(value, 1e-12), brighter), dtype=np.float64)


def contrast(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    mean = image.mean(axis=(0, 1))
    return np.asarray((image - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[severity] + mean, dtype=np.float64)


def elastic_transform(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    """Pixels are moved along a smooth field, by so many on average (root mean square)."""
    far = (0.5, 0.8, 1.1, 1.4, 1.8)[severity]
    fields = []
    for place in np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64):
        smooth = ndimage.gaussian_filter(rng.uniform(-1, 1, place.shape), 3.0)
        fields.append(place + far * smooth / np.sqrt(2 * np.mean(smooth**2)))
    return _each(image, lambda plane: ndimage.map_coordinates(plane, fields, order=1, mode="reflect"))


def pixelate(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    picture, share = _picture(image), (0.95, 0.9, 0.85, 0.75, 0.65)[severity]
    small = (max(1, int(picture.width * share)), max(1, int(picture.height * share)))
    return _pixels(picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST))


def jpeg_compression(image: Pixels, severity: int, rng: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    _picture(image).save(file, "JPEG", quality=(80, 65, 58, 50, 40)[severity])
    return _pixels(Image.open(file))


APPLIED: Mapping[str, Corruption] = {
    made.__name__: made
    for made in (
        *(gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur),
        *(snow, fog, brightness, contrast, elastic_transform, pixelate, jpeg_compression),
    )
}
"""By the benchmark's name of it, in its order."""


def corrupt(pixels: npt.NDArray[np.uint8], corruption: str, severity: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A corrupted image, uint8 (H, W, 3).

    Args:
        pixels: the image, likewise.
        corruption: its name in `APPLIED`.
        severity: from 1 to 5.
        rng: draws noise, directions and fields.
    """
    found = APPLIED[corruption](pixels.astype(np.float64) / 255, severity - 1, rng)
    return np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8)


def _drawn_out(image: Pixels, length: int, sigma: float, degrees: float) -> Pixels:
    """A mean along a line of so many pixels, whose weights fall off as a Gaussian's."""
    angle, weights = np.deg2rad(degrees), np.exp(-(np.arange(length + 1) ** 2) / (2 * sigma**2))
    moved = [ndimage.shift(image, (at * np.sin(angle), at * np.cos(angle), 0), order=1, mode="nearest") for at in range(length + 1)]
    return np.asarray(np.tensordot(weights / weights.sum(), np.stack(moved), axes=1), dtype=np.float64)


def _each(image: Pixels, change: Callable[[Pixels], Pixels]) -> Pixels:
    """Every channel changed by itself."""
    return np.stack([change(image[:, :, channel]) for channel in range(3)], axis=2)


def _picture(image: Pixels) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8))


def _pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture.convert("RGB"), dtype=np.float64) / 255
