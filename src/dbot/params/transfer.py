"""Transfer: full fine-tuning on classification sets that pre-training has not seen."""

from pydantic import Field, PositiveInt

from dbot.params.recipes import Fraction
from dbot.params.section import Section


class TransferSet(Section):
    """What a set has of its own; everything else is that of `recipes.transfer`."""

    epochs: PositiveInt | None = None
    """Passes over its training images. Null: the recipe's."""
    random_erase: Fraction | None = None
    """Probability of random erasing. Null: the recipe's."""


class Transfer(Section):
    """Which sets students are transferred to (published `evaluation/eval_cls.py`)."""

    sets: list[str]
    """Data sets, in the order of the table."""
    figures: dict[str, TransferSet] = Field(default_factory=dict)
    """By data set, what it has of its own."""
