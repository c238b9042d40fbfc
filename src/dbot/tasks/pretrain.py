"""Distillation as a task of the training loop."""

import torch
from torch import Tensor, nn

from dbot.data.labelled import TrainingImages
from dbot.data.manifest import Manifest
from dbot.data.transforms import normalise, pretrain_transform
from dbot.distill.objective import AsymmetricObjective
from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.teacher import EncoderTeacher
from dbot.params.recipes import AsymmetricPretrain
from dbot.params.scales import Normalisation
from dbot.train.randomness import generator
from dbot.train.task import Step, Task


def pretrain_task(
    title: str,
    student: AsymmetricStudent,
    teacher: EncoderTeacher,
    recipe: AsymmetricPretrain,
    stage: int,
    manifest: Manifest,
    statistics: Normalisation,
    moments: dict[str, Tensor] | None = None,
) -> Task:
    """One stage of distillation.

    The mask of an image depends on the step and its place in the effective batch, so it is the
    same however the batch is laid over processes.
    """
    seed = recipe.seed
    images = TrainingImages(manifest, pretrain_transform(recipe.augmentation, student.encoder.patch_embed.img_size[0]), seed)
    objective = AsymmetricObjective(teacher, recipe)
    patches = student.encoder.patch_embed.num_patches

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], step: Step) -> Tensor:
        crops = normalise(batch[0], statistics)
        draws = generator(seed, "mask", stage, step.number, device=crops.device)
        noise = torch.rand(step.layout.batch, patches, generator=draws, device=crops.device)
        return objective(model, crops, noise[step.layout.places(step.pass_number)])

    return Task(title=title, recipe=recipe, model=student, images=images, loss=loss, seed=seed, moments=moments)
