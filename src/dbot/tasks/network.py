"""Frozen networks that are measured: what an earlier stage left behind, or what a row's teacher declares."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dbot.base.errors import UserError
from dbot.distill.boundary import Promoted, first_teacher, promote
from dbot.models.positions import resize_to_grid
from dbot.models.teachers.declared import foreign_teacher
from dbot.models.teachers.networks import NetworkTeacher
from dbot.models.teachers.teacher import Teacher
from dbot.models.timm_form import timm_form, timm_weights
from dbot.params.document import Params
from dbot.params.scales import Normalisation
from dbot.params.teachers import RandomTeacher, RowTeacher


def declared_network(params: Params, row: str, image_size: int | None = None) -> Teacher:
    """A row's first teacher: pixels in, tokens after its final norm out.

    Args:
        params: of the scale.
        row: which row.
        image_size: side of the images that it shall see, in pixels. None: its own.

    Raises:
        UserError: it can't be had, or can't see images of that size.
    """
    statistics, declared = params.normalisation, params.rows[row]
    teacher = params.teacher_of(declared)
    assert not isinstance(teacher, RowTeacher), "the plan looks at another row's student there"
    if not isinstance(teacher, RandomTeacher):
        sized = teacher.model_copy(update={"image_size": image_size or teacher.image_size})
        return foreign_teacher(sized, True, statistics)
    recipe = params.recipes.pretrain[declared.recipe].of_stage(1)
    found = first_teacher(params.architectures[declared.architecture], recipe, teacher, statistics)
    return student_network(found, row, statistics, image_size)


def finetuned_network(
    weights: dict[str, Tensor], about: Mapping[str, Any], source: str, statistics: Normalisation, image_size: int | None = None
) -> Teacher:
    """A fine-tuned classifier without its head: pixels in, tokens of its last block out, after its final norm if that precedes pooling.

    Args:
        weights: of the classifier.
        about: its description.
        source: what messages call it.
        statistics: of pixels, those that it was trained with.
        image_size: side of the images that it shall see, in pixels. None: its own.

    Raises:
        UserError: it can't see images of that size.
    """
    size, patch = image_size or int(about["image_size"]), int(about["architecture"]["patch_size"])
    if size % patch:
        raise UserError(f"image_size is {size}: must be a multiple of the patch size of {source}, {patch}")
    named = resize_to_grid(timm_weights(weights, about), size // patch)
    network = timm_form({**about, "image_size": size}, named).build()
    network.load_state_dict(named)
    return NetworkTeacher(network, source, size, statistics, final_norm=True)


def student_network(found: Promoted, row: str, statistics: Normalisation, image_size: int | None = None) -> Teacher:
    """The student that a stage of a row left behind: pixels in, tokens after its final norm out.

    Args:
        found: what the stage left behind.
        row: whose it is, for messages.
        statistics: of pixels, those that it was trained with.
        image_size: side of the images that it shall see, in pixels. None: its own.

    Raises:
        UserError: it can't see images of that size.
    """
    size, patch = image_size or found.architecture.image_size, found.architecture.patch_size
    if size % patch:
        raise UserError(f"image_size is {size}: must be a multiple of the patch size of row {row}, {patch}")
    return promote(found, size // patch, True, statistics)
