"""One image through a student and its teacher, as a training step has it, for a picture of what distillation does."""

from random import Random

import numpy as np
import torch

from dbot.base.seeds import generator, seed_of
from dbot.data.labelled import LabelledPixels
from dbot.data.manifest import Manifest
from dbot.data.transforms import evaluation_transform, in_unit_range, normalise
from dbot.distill.blocks import block_mask
from dbot.distill.designs import Student
from dbot.distill.loss import token_distance
from dbot.distill.masking import random_mask
from dbot.distill.target import normalise_tokens
from dbot.models.symmetric import SymmetricStudent
from dbot.models.teachers.teacher import Teacher
from dbot.models.timm_form import evaluation_resize
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.scales import Normalisation
from dbot.pictures.method import OneImage
from dbot.train.precision import autocast_type


@torch.no_grad()
def one_image(
    student: Student,
    teacher: Teacher,
    recipe: AsymmetricPretrain | SymmetricPretrain,
    manifest: Manifest,
    statistics: Normalisation,
    device: torch.device,
) -> OneImage:
    """The image in the middle of the validation part, whole, under one mask; of a set without that part, a training image.

    Every row of a data set shows the same image, and its mask depends on the recipe's seed alone. Nothing is drawn from a random
    state, and no weight changes; the student is left in eval mode. Compiled forms of the networks aren't used: another batch size
    would have them compiled again.

    Args:
        student: trained, on the device, bare.
        teacher: whose tokens it was trained on, on the device.
        recipe: of the training.
        manifest: of the data set.
        statistics: of pixels, those that the student sees.
        device: where to compute.
    """
    patches, autocast = student.encoder.patch_embed, autocast_type(recipe.precision)
    size, count = int(patches.img_size[0]), int(patches.num_patches)
    samples = manifest.samples("validation")
    samples = samples if len(samples) else manifest.samples("train")
    image, _ = LabelledPixels(manifest.root, samples, np.array([len(samples) // 2]), manifest.upright)[0]
    crop = evaluation_transform(size, evaluation_resize(size))(image)
    crops = crop.unsqueeze(0).to(device)
    student.eval()
    with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
        target_BND = teacher.forward(in_unit_range(crops)).float()
        if isinstance(student, SymmetricStudent):
            assert isinstance(recipe, SymmetricPretrain)
            hidden_BN = block_mask(patches.grid_size[0], recipe.blocks, Random(seed_of(recipe.seed, "picture"))).unsqueeze(0).to(device)
            prediction_BND = student.forward(normalise(crops, statistics), hidden_BN)
        else:
            assert isinstance(recipe, AsymmetricPretrain)
            noise_BN = torch.rand(1, count, generator=generator(recipe.seed, "picture")).to(device)
            mask = random_mask(noise_BN, recipe.mask_ratio)
            hidden_BN = mask.masked_BN.bool()
            prediction_BND = student.forward(normalise(crops, statistics), mask.keep_BK, mask.restore_BN)
    if recipe.target.normalise:
        target_BND = normalise_tokens(target_BND)
    target_ND, prediction_ND = (tokens[0, -count:].float().cpu() for tokens in (target_BND, prediction_BND))
    return OneImage(crop, hidden_BN[0].cpu(), target_ND, prediction_ND, token_distance(prediction_ND, target_ND, recipe.loss))
