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

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.distill.designs import DESIGNS, Student
from dbot.models.checkpoint import part
from dbot.models.stochastic_depth import drop_subsets
from dbot.models.teachers.encoder import EncoderTeacher
from dbot.models.teachers.teacher import Teacher
from dbot.params.recipes import AsymmetricPretrain, Boundary, SymmetricPretrain
from dbot.params.scales import Normalisation
from dbot.params.teachers import Architecture, RandomTeacher

Recipe = AsymmetricPretrain | SymmetricPretrain


@dataclass(frozen=True)
class Promoted:
    """What a stage left behind: its student."""

    weights: dict[str, Tensor]
    architecture: Architecture
    design: str
    same_row: bool
    """Whether it is of this row, so that the recipe's `boundary` says what survives."""


def begin_stage(
    architecture: Architecture, recipe: Recipe, stage: int, source: RandomTeacher | Promoted | Teacher, statistics: Normalisation
) -> tuple[Student, Teacher]:
    """The student and the teacher with which a stage begins.

    Every process calls it with the same arguments and gets the same weights.

    Args:
        architecture: the student's.
        recipe: how the stage is trained; its design is the student's.
        stage: its number, from 1; students of different stages are different draws.
        source: where the teacher comes from: never trained, a student, or a network from elsewhere.
        statistics: of pixels, those that students are trained with.

    Raises:
        UserError: teacher and student don't fit, or what shall survive can't.
    """
    design = DESIGNS[recipe.design]
    teacher: Teacher | None = None
    if isinstance(source, Promoted):
        teacher = promote(source, architecture.grid, recipe.target.final_norm, statistics)
    elif isinstance(source, Teacher):
        teacher = source
    if teacher is not None:
        _require_fit(teacher, architecture, recipe)
    student = design.student(architecture, recipe, architecture.width if teacher is None else teacher.width)
    if recipe.drop_path_subset:
        drop_subsets(student)
    design.initialise(student, generator(recipe.seed, "student", stage), recipe)
    if isinstance(source, Promoted) and source.same_row:
        _keep(student, source.weights, recipe.boundary, design.predicting)
    if isinstance(source, RandomTeacher):
        teacher = _random(source, architecture, student, recipe, statistics)
    assert teacher is not None
    if recipe.teacher_momentum is not None:
        _require_likeness(teacher, student)
    return student, teacher


def first_teacher(architecture: Architecture, recipe: Recipe, declared: RandomTeacher, statistics: Normalisation) -> Promoted:
    """The random teacher of a first stage by itself: the very weights with which `begin_stage` begins."""
    _, teacher = begin_stage(architecture, recipe, 1, declared, statistics)
    depth = architecture.depth if declared.depth is None else declared.depth
    return Promoted(teacher.state_dict(), architecture.model_copy(update={"depth": depth}), recipe.design, same_row=True)


def promote(promoted: Promoted, grid: int, final_norm: bool, statistics: Normalisation) -> EncoderTeacher:
    """The student's encoder as a teacher whose tokens lie on the given grid."""
    encoder = DESIGNS[promoted.design].promoted(promoted.architecture, part(promoted.weights, "encoder."), grid)
    return EncoderTeacher(encoder, final_norm, statistics)


def _require_fit(teacher: Teacher, architecture: Architecture, recipe: Recipe) -> None:
    if teacher.grid != architecture.grid:
        raise UserError(
            f"the teacher's tokens lie on a grid of {teacher.grid} patches a side, the student's on {architecture.grid}; "
            "change the teacher's image_size so that they agree"
        )
    if recipe.class_token_in_loss and not teacher.has_class_token:
        raise UserError("the recipe has class_token_in_loss: true, but the teacher has no class token; set it to false")


def _require_likeness(teacher: Teacher, student: Student) -> None:
    """A teacher can follow a student only if it has the same weights."""
    own = {name: tensor.shape for name, tensor in student.encoder.state_dict().items()}
    theirs = {name: tensor.shape for name, tensor in teacher.encoder.state_dict().items()} if isinstance(teacher, EncoderTeacher) else {}
    if own != theirs:
        raise UserError(
            "the recipe has teacher_momentum, but the first teacher is not of the student's architecture, whole, so it can't follow the "
            "student; set teacher_momentum to null, or name a random teacher with depth: null"
        )


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


def _random(
    declared: RandomTeacher, architecture: Architecture, student: Student, recipe: Recipe, statistics: Normalisation
) -> EncoderTeacher:
    design = DESIGNS[recipe.design]
    encoder = design.encoder(architecture, recipe, declared.depth)
    if declared.weights == "own":
        design.initialise(encoder, generator(recipe.seed, "teacher"), recipe)
    else:
        kept = set(encoder.state_dict())
        encoder.load_state_dict({name: tensor for name, tensor in student.encoder.state_dict().items() if name in kept})
    return EncoderTeacher(encoder, recipe.target.final_norm, statistics)
