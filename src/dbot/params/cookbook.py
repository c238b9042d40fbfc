"""All recipes by kind and name."""

from typing import Literal, get_args

from dbot.params.detection import Detect
from dbot.params.recipes import Finetune, Pretrain
from dbot.params.section import Section
from dbot.params.segmentation import Segment

Kind = Literal["pretrain", "finetune", "transfer", "detect", "segment"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Recipes(Section):
    """All recipes by kind, then by name. A recipe may say `extends: <name>` and give only what differs."""

    pretrain: dict[str, Pretrain]
    """How a stage of distillation is trained."""
    finetune: dict[str, Finetune]
    """How a classifier is fine-tuned."""
    transfer: dict[str, Finetune]
    """How a classifier is fine-tuned on a set that pre-training has not seen. Rows whose recipe isn't here are not transferred."""
    detect: dict[str, Detect]
    """How a detector is trained."""
    segment: dict[str, Segment]
    """How a segmenter is trained."""
