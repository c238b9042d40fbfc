"""Distillation as a task of the training loop."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dbot.base.errors import UserError
from dbot.base.seeds import generator, seed_of
from dbot.data.labelled import TrainingImages, together
from dbot.data.manifest import Manifest
from dbot.data.transforms import in_unit_range, normalise, pretrain_transform, views_transform
from dbot.distill.designs import Student
from dbot.distill.objective import AsymmetricObjective, SymmetricObjective
from dbot.distill.samples import MaskedViews
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.stochastic_depth import least_batch
from dbot.models.symmetric import SymmetricStudent
from dbot.models.teachers.encoder import EncoderTeacher
from dbot.models.teachers.teacher import Teacher
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.scales import Normalisation
from dbot.train.precision import autocast_type
from dbot.train.task import Metrics, Step, Task

Parts = tuple[Dataset[Any], Callable[[nn.Module, Any, Step], Tensor]]
"""Training images, and the loss of a batch of them."""


def pretrain_task(
    title: str,
    student: Student,
    teacher: Teacher,
    recipe: AsymmetricPretrain | SymmetricPretrain,
    stage: int,
    manifest: Manifest,
    statistics: Normalisation,
    moments: dict[str, Tensor] | None = None,
    evaluate: Callable[[nn.Module], Metrics] | None = None,
) -> Task:
    """One stage of distillation, of the design that the recipe names; ``evaluate`` is what its `monitor` asks for."""
    if isinstance(recipe, AsymmetricPretrain):
        assert isinstance(student, AsymmetricStudent)
        images, loss = _asymmetric(student, teacher, recipe, stage, manifest, statistics)
    else:
        assert isinstance(student, SymmetricStudent)
        images, loss = _symmetric(student, teacher, recipe, stage, manifest, statistics)
    follows = None
    if recipe.teacher_momentum is not None:
        assert isinstance(teacher, EncoderTeacher)
        follows = partial(teacher.follow, student.encoder, recipe.teacher_momentum)
    return Task(
        title=title,
        recipe=recipe,
        model=student,
        images=images,
        loss=loss,
        seed=recipe.seed,
        collate=together,
        compiled=lambda wrapped: [wrapped, teacher],
        companion=None if follows is None else teacher,
        after_step=follows,
        evaluate=evaluate,
        evaluate_every=recipe.monitor.every_epochs if recipe.monitor is not None else 1,
        moments=moments,
    )


def settle(teacher: Teacher, recipe: AsymmetricPretrain | SymmetricPretrain, device: torch.device) -> None:
    """Move a teacher to where it works; on a GPU with its weights in the type of the products, unless it follows the student."""
    teacher.to(device)
    autocast = autocast_type(recipe.precision)
    if device.type == "cuda" and autocast is not None and recipe.teacher_momentum is None:
        teacher.hold_weights_in(autocast)


def _asymmetric(
    student: AsymmetricStudent, teacher: Teacher, recipe: AsymmetricPretrain, stage: int, manifest: Manifest, statistics: Normalisation
) -> Parts:
    """Student and teacher see the same pixels.

    The masks of an image depend on the step and its place in the effective batch, so they are the
    same however the batch is laid over processes.
    """
    seed, masks = recipe.seed, recipe.masks_per_image
    images = TrainingImages(manifest, pretrain_transform(recipe.augmentation, student.encoder.patch_embed.img_size[0]), seed)
    objective = AsymmetricObjective(teacher, recipe)
    patches = student.encoder.patch_embed.num_patches

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], step: Step) -> Tensor:
        _require_images_to_drop(recipe, step)
        crops = normalise(batch[0], statistics)
        draws = generator(seed, "mask", stage, step.number, device=crops.device)
        noise_MBN = torch.rand(masks, step.layout.batch, patches, generator=draws, device=crops.device)
        noise_VN = noise_MBN[:, step.layout.places(step.pass_number)].flatten(0, 1)
        return objective(model, crops, noise_VN, in_unit_range(batch[0]))

    return images, loss


def _symmetric(
    student: SymmetricStudent,
    teacher: Teacher,
    recipe: SymmetricPretrain,
    stage: int,
    manifest: Manifest,
    statistics: Normalisation,
) -> Parts:
    """Student and teacher see the same crop, each at its size; masks are drawn with the crops, by the loader."""
    patches = student.encoder.patch_embed
    transform = views_transform(recipe.augmentation, (patches.img_size[0], teacher.image_size))
    crops = TrainingImages(manifest, transform, recipe.seed)
    images = MaskedViews(crops, patches.grid_size[0], recipe.blocks, seed_of(recipe.seed, stage), recipe.masks_per_image)
    objective = SymmetricObjective(teacher, recipe)

    def loss(model: nn.Module, batch: list[Tensor], step: Step) -> Tensor:
        _require_images_to_drop(recipe, step)
        view, masked_BMN, *others = batch
        seen_by_teacher = others[0] if others else view
        masked_VN = masked_BMN.transpose(0, 1).flatten(0, 1)
        return objective(model, normalise(view, statistics), masked_VN, in_unit_range(seen_by_teacher))

    return images, loss


def _require_images_to_drop(recipe: AsymmetricPretrain | SymmetricPretrain, step: Step) -> None:
    """A forward pass must be large enough for a part of it to be dropped and a part to be kept."""
    seen, least = step.layout.micro * recipe.masks_per_image, least_batch(recipe.drop_path)
    if recipe.drop_path_subset and seen < least:
        raise UserError(
            f"drop_path_subset: of {seen} images in a forward pass no share of {recipe.drop_path:g} can be dropped; set batch_per_process "
            f"so that there are {least} or more, or drop_path_subset to false"
        )
