"""What is measured inside frozen networks: how far they attend, how varied their tokens are."""

from pydantic import PositiveFloat, PositiveInt

from dbot.params.section import Section


class Analysis(Section):
    """Attention distance and singular values of tokens, by layer, over the validation images of `uses.cls`."""

    images: PositiveInt | None
    """So many validation images at most, taken at equal steps through the set. Null: all, as published."""
    evaluation_resize: PositiveFloat
    """Short side before the central crop, over the crop size (256/224 up to 224 px, 1 above)."""
    renormalise: bool
    """Whether attention is renormalised over the patches once the class token is dropped. The published code doesn't."""
    top: PositiveInt
    """How many of the largest singular values are looked at."""
