"""The boundary between stages: the student is promoted to teacher, and a new student begins.

The published code does this in the middle of one long process. There it leaves AdamW's moments
and the bias of the patch embedding as they were, and draws the new weights with a different
random state on every process, so that replicas differ until weight decay has worn the difference
down; with a symmetric student it stops with an error. Here a stage is a job of its own; what it
takes over is decided in this one place, for both designs, and the draws come from a seed that all
processes share.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dbot.distill.designs import DESIGNS, Student
from dbot.errors import UserError
from dbot.models.checkpoint import part
from dbot.models.pixels import Teacher
from dbot.models.teacher import EncoderTeacher
from dbot.params.architectures import Architecture
from dbot.params.recipes import AsymmetricPretrain, Boundary, SymmetricPretrain
from dbot.params.teachers import RandomTeacher
from dbot.train.randomness import generator

Recipe = AsymmetricPretrain | SymmetricPretrain


@dataclass(frozen=True)
class Promoted:
    """What a stage left behind: its student's weights, and AdamW's state if that was to be kept."""

    weights: dict[str, Tensor]
    architecture: Architecture
    optimizer: dict[str, Tensor] | None = None
    design: str = "asymmetric"


def begin_stage(
    architecture: Architecture,
    recipe: Recipe,
    stage: int,
    random_teacher: RandomTeacher | None,
    promoted: Promoted | None,
    same_row: bool,
    foreign: Teacher | None = None,
) -> tuple[Student, EncoderTeacher | Teacher]:
    """The student and the teacher with which a stage begins.

    Every process calls it with the same arguments and gets the same weights.

    Args:
        architecture: the student's.
        recipe: how the stage is trained; its design is the student's.
        stage: its number, from 1; students of different stages are different draws.
        random_teacher: declaration of a teacher that was never trained, or None.
        promoted: the student that becomes the teacher, or None.
        same_row: whether that student is of this row, so that the recipe's `boundary` says what survives.
        foreign: a teacher from elsewhere, where it is none of those.

    Raises:
        UserError: teacher and student don't fit, or what shall survive can't.
    """
    design = DESIGNS[recipe.design]
    teacher: EncoderTeacher | Teacher | None = foreign
    if promoted is not None:
        teacher = _promote(promoted, architecture.grid, recipe.target.final_norm)
    if teacher is not None:
        _require_fit(teacher, architecture, recipe)
    student = design.student(architecture, recipe, architecture.width if teacher is None else teacher.width)
    design.initialise(student, generator(recipe.seed, "student", stage))
    if promoted is not None and same_row:
        _keep(student, promoted.weights, recipe.boundary, design.predicting)
    if teacher is None:
        assert random_teacher is not None
        teacher = _random(random_teacher, architecture, student, recipe)
    return student, teacher


def _promote(promoted: Promoted, grid: int, final_norm: bool) -> EncoderTeacher:
    """The student's encoder as a teacher whose tokens lie on the given grid."""
    encoder = DESIGNS[promoted.design].promoted(promoted.architecture, part(promoted.weights, "encoder."), grid)
    return EncoderTeacher(encoder, final_norm)


def _require_fit(teacher: EncoderTeacher | Teacher, architecture: Architecture, recipe: Recipe) -> None:
    if teacher.grid != architecture.grid:
        raise UserError(
            f"the teacher's tokens lie on a grid of {teacher.grid} patches a side, the student's on {architecture.grid}; "
            "change the teacher's image_size so that they agree"
        )
    if recipe.class_token_in_loss and isinstance(teacher, Teacher) and not teacher.has_class_token:
        raise UserError("the recipe has class_token_in_loss: true, but the teacher has no class token; set it to false")


def _keep(student: Student, earlier: dict[str, Tensor], boundary: Boundary, predicting: str) -> None:
    """Take over what survives. Only the layer that predicts can have another shape: it takes the teacher's width."""
    own = student.state_dict()
    misshapen = [name for name in own if own[name].shape != earlier[name].shape]
    if misshapen and boundary.keep_optimizer:
        raise UserError(
            f"boundary.keep_optimizer: {misshapen[0]} has {len(own[misshapen[0]])} outputs in this stage and {len(earlier[misshapen[0]])} "
            "in the one before, since the teacher has another width, so AdamW's moments can't be kept; set it to false"
        )
    with torch.no_grad():
        if not boundary.reinitialise:
            renewed = {name: own[name] for name in misshapen if name.startswith(predicting)}
            student.load_state_dict(earlier | renewed)
        elif boundary.keep_patch_bias:
            student.get_parameter("encoder.patch_embed.proj.bias").copy_(earlier["encoder.patch_embed.proj.bias"])


def _random(declared: RandomTeacher, architecture: Architecture, student: Student, recipe: Recipe) -> EncoderTeacher:
    design = DESIGNS[recipe.design]
    encoder = design.encoder(architecture, recipe, declared.depth)
    if declared.weights == "own":
        design.initialise(encoder, generator(recipe.seed, "teacher"))
    else:
        kept = set(encoder.state_dict())
        encoder.load_state_dict({name: tensor for name, tensor in student.encoder.state_dict().items() if name in kept})
    return EncoderTeacher(encoder, recipe.target.final_norm)
