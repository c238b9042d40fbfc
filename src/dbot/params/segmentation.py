"""Recipes of semantic segmentation: UperNet on a pyramid of maps."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dbot.params.dense import Dense
from dbot.params.recipes import Fraction, Pair, Rate
from dbot.params.section import Section


class SegmentHead(Section):
    """UperNet's head (arXiv 1807.10221): pooling over the coarsest map, then a feature pyramid over all four."""

    channels: PositiveInt | None
    """Channels of the head. Null: the encoder's width."""
    pool_scales: Annotated[list[PositiveInt], Field(min_length=1)]
    """Sides of the grids that the coarsest map is pooled to."""
    dropout: Rate
    """Probability that a channel is dropped before the classifier; the auxiliary head has the same."""
    initial_std: PositiveFloat
    """Standard deviation of the initial weights of the two heads' classifiers."""


class AuxiliaryHead(Section):
    """A small convolutional head on one of the maps, which only training uses."""

    channels: PositiveInt
    """Channels of its convolution."""
    tap: Annotated[int, Field(ge=0, le=3)]
    """Which of the four maps it reads; 0 is the finest."""
    weight: NonNegativeFloat
    """Weight of its loss beside that of the head, whose weight is 1."""


class SegmentAugmentation(Section):
    """Training crops."""

    long_side: PositiveInt
    """Before the jitter, an image is resized to fit into this long side, in pixels, …"""
    short_side: PositiveInt
    """… and this short side; its aspect ratio is kept."""
    scale_jitter: Pair
    """Smallest and largest factor on both sides, drawn for every crop."""
    crop: PositiveInt
    """Side of the square crop in pixels; the position tables are made for it."""
    largest_share: Fraction
    """A crop is drawn again while one class has this share of its labelled pixels or more. 1: never."""
    flip: Fraction
    """Probability of a horizontal flip."""
    distortion: bool
    """Distort brightness, contrast, saturation and hue."""


class SegmentInference(Section):
    """How whole images are labelled."""

    long_side: PositiveInt
    """Images are resized to fit into this long side, in pixels, …"""
    short_side: PositiveInt
    """… and this short side; their aspect ratio is kept. Results are measured at the size of the label map."""
    window: PositiveInt
    """Side of the sliding window in pixels; an image that fits into one is labelled whole."""
    stride: PositiveInt
    """Pixels from one window to the next, at most `window`; logits of overlapping windows are averaged."""


class Segment(Dense):
    """Semantic segmentation (published section `DOWNSTREAM`).

    The heads normalise over the images of one forward pass (over those of all GPUs, where there
    are several), so here `batch_per_process` is not only a matter of memory.
    """

    head: SegmentHead
    """The head that labels."""
    auxiliary: AuxiliaryHead
    """The head that helps in training."""
    augmentation: SegmentAugmentation
    """Training crops."""
    inference: SegmentInference
    """How validation images are labelled."""
