"""What the recipes of detection and segmentation share: a ViT whose blocks are tapped at four depths."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from dbot.params.recipes import Training


class Dense(Training):
    """A backbone made of a pre-trained encoder, for tasks that need maps of features."""

    design: Literal["asymmetric", "symmetric"]
    """Whose encoder it is; it must be that of the student it starts from."""
    taps: Annotated[list[NonNegativeInt], Field(min_length=4, max_length=4)]
    """Blocks (from 0) whose tokens become the four maps, the finest first."""
    absolute_positions: bool
    """Learned absolute positions; the student must have them too."""
    relative_positions: bool
    """A table of relative position biases in every block; from zeros where the student has none."""
    layer_scale: PositiveFloat | None
    """Initial value of the layer scale where the student has none. Null: no layer scale."""
    evaluate_every: PositiveInt | None = None
    """Measure on the validation images after every so many epochs. Null: only the job `evaluate` does."""
