"""Recipes of detection: what is drawn in training, and what a detector keeps."""

from typing import Annotated

from pydantic import Field, PositiveInt

from dbot.params.recipes import Fraction
from dbot.params.section import Section

Sides = Annotated[list[PositiveInt], Field(min_length=1)]
Range = Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]


class DetectAugmentation(Section):
    """The published policy: a flip, then a random size, or a random size, a crop and a random size."""

    flip: Fraction
    """Probability of a horizontal flip."""
    short_sides: Sides
    """Short sides in pixels, of which one is drawn for each image."""
    long_side: PositiveInt
    """Longest that the long side may become, in pixels; the short side is less where it would."""
    crop_probability: Fraction
    """Probability that an image is cropped before it gets its size."""
    crop_short_sides: Sides
    """Short sides in pixels, of which one is drawn before the crop; the long side is free."""
    crop_sides: Range
    """Smallest and largest side of the crop, in pixels; each is at most the image's own."""


class DetectInference(Section):
    """Sizes of images and thresholds of evaluation."""

    short_side: PositiveInt
    """Short side of the images, in pixels."""
    long_side: PositiveInt
    """Longest that the long side may become, in pixels."""
    score: Fraction
    """Detections of a lower score are dropped."""
    nms: Fraction
    """Overlap (IoU) above which the weaker of two boxes of one class is dropped."""
    detections: PositiveInt
    """How many detections an image may have."""
    mask: Fraction
    """Probability from which on a pixel belongs to a mask."""
