"""The boundary between stages: the student is promoted to teacher, and a new student begins.

The published code does this in the middle of one long process. There it leaves AdamW's moments
and the bias of the patch embedding as they were, and draws the new weights with a different
random state on every process, so that replicas differ until weight decay has worn the difference
down. Here a stage is a job of its own; what it takes over is decided in this one place, and the
draws come from a seed that all processes share.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.checkpoint import part
from dbot.models.encoder import build_encoder, initialise
from dbot.models.positions import resize_positions
from dbot.models.teacher import EncoderTeacher
from dbot.params.architectures import Architecture
from dbot.params.recipes import AsymmetricPretrain, Boundary
from dbot.params.teachers import RandomTeacher
from dbot.train.randomness import generator


@dataclass(frozen=True)
class Promoted:
    """What a stage left behind: its student's weights, and AdamW's state if that was to be kept."""

    weights: dict[str, Tensor]
    architecture: Architecture
    optimizer: dict[str, Tensor] | None = None


def begin_stage(
    architecture: Architecture,
    recipe: AsymmetricPretrain,
    stage: int,
    random_teacher: RandomTeacher | None,
    promoted: Promoted | None,
    same_row: bool,
) -> tuple[AsymmetricStudent, EncoderTeacher]:
    """The student and the teacher with which a stage begins.

    Every process calls it with the same arguments and gets the same weights.

    Args:
        architecture: the student's.
        recipe: how the stage is trained.
        stage: its number, from 1; students of different stages are different draws.
        random_teacher: declaration of a teacher that was never trained, or None.
        promoted: the student that becomes the teacher, or None.
        same_row: whether that student is of this row, so that the recipe's `boundary` says what survives.
    """
    if promoted is not None:
        teacher = _promote(promoted, architecture.grid, recipe.target.final_norm)
        target_width = promoted.architecture.width
    else:
        teacher, target_width = None, architecture.width
    student = AsymmetricStudent(architecture, recipe.decoder, target_width, recipe.drop_path)
    initialise(student, generator(recipe.seed, "student", stage))
    if promoted is not None and same_row:
        _keep(student, promoted.weights, recipe.boundary)
    if teacher is None:
        assert random_teacher is not None
        teacher = _random(random_teacher, architecture, student, recipe)
    return student, teacher


def _promote(promoted: Promoted, grid: int, final_norm: bool) -> EncoderTeacher:
    """The student's encoder as a teacher whose tokens lie on the given grid."""
    encoder = build_encoder(promoted.architecture, image_size=grid * promoted.architecture.patch_size)
    weights = part(promoted.weights, "encoder.")
    weights["pos_embed"] = resize_positions(weights["pos_embed"], grid)
    encoder.load_state_dict(weights)
    return EncoderTeacher(encoder, final_norm)


def _keep(student: nn.Module, earlier: dict[str, Tensor], boundary: Boundary) -> None:
    with torch.no_grad():
        if not boundary.reinitialise:
            student.load_state_dict(earlier)
        elif boundary.keep_patch_bias:
            student.get_parameter("encoder.patch_embed.proj.bias").copy_(earlier["encoder.patch_embed.proj.bias"])


def _random(declared: RandomTeacher, architecture: Architecture, student: AsymmetricStudent, recipe: AsymmetricPretrain) -> EncoderTeacher:
    encoder = build_encoder(architecture, depth=declared.depth)
    if declared.weights == "own":
        initialise(encoder, generator(recipe.seed, "teacher"))
    else:
        kept = set(encoder.state_dict())
        encoder.load_state_dict({name: tensor for name, tensor in student.encoder.state_dict().items() if name in kept})
    return EncoderTeacher(encoder, recipe.target.final_norm)
