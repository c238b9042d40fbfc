"""Declarations of teachers: whose features the first stage of a row regresses."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from dbot.params.section import Section


class RandomTeacher(Section):
    """A network that was never trained, of the student's architecture."""

    kind: Literal["random"]
    weights: Literal["student", "own"]
    """`student`: a frozen copy of the student's own initial weights, as the published code does. `own`: another draw."""
    depth: NonNegativeInt | None
    """Blocks that are kept. Null: all. 0: patch embedding and positions only, as published for L and H."""
    data: str
    """What data it saw."""
    licence: str
    """Terms of use of its weights."""


class RowTeacher(Section):
    """The student of another row."""

    kind: Literal["row"]
    row: str
    """Which row."""
    stage: PositiveInt | Literal["last"]
    """Which of its stages; `last` is the longest chain that the row's columns need."""
    data: str
    """What data it saw beyond that row's own."""
    licence: str
    """Terms of use of its weights."""


class TimmTeacher(Section):
    """Any model of timm by name."""

    kind: Literal["timm"]
    model: str
    """Name in timm's registry, with its tag: `vit_base_patch16_224.dino`."""
    weights: str
    """`hub`: timm fetches them. `random`: it was never trained. Anything else: a local file with them."""
    image_size: PositiveInt
    """Side of the images the teacher sees, in pixels; chosen so that its grid equals the student's."""
    projection: bool
    """Pass every token through the model's head (CLIP: norm, then projection)."""
    data: str
    """What data it saw."""
    licence: str
    """Terms of use of its weights."""


Teacher = Annotated[RandomTeacher | RowTeacher | TimmTeacher, Field(discriminator="kind")]
