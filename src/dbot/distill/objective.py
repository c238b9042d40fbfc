"""One step of masked distillation: mask, predict, compare with the teacher (paper, section 3.1)."""

from dataclasses import dataclass

from torch import Tensor, nn

from dbot.distill.loss import scored_mean, token_distance, with_class_token
from dbot.distill.masking import random_mask
from dbot.distill.target import normalise_tokens
from dbot.models.teachers.teacher import Teacher
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain


@dataclass(frozen=True)
class AsymmetricObjective:
    """The loss of an asymmetric student against a frozen teacher."""

    teacher: Teacher
    recipe: AsymmetricPretrain

    def __call__(self, student: nn.Module, images_BCHW: Tensor, noise_BN: Tensor, pixels_BCHW: Tensor) -> Tensor:
        """The scalar loss of a batch.

        Args:
            student: the student, bare or wrapped for distribution or compilation.
            images_BCHW: normalised images, seen masked by the student.
            noise_BN: uniform noise that decides the mask.
            pixels_BCHW: the same images for the teacher, whole, in 0..1.
        """
        mask = random_mask(noise_BN, self.recipe.mask_ratio)
        target_BND = self.teacher(pixels_BCHW).float()
        if self.recipe.target.normalise:
            target_BND = normalise_tokens(target_BND)
        prediction_BND = student(images_BCHW, mask.keep_BK, mask.restore_BN)
        scored_BN = with_class_token(mask.masked_BN, self.recipe.class_token_in_loss)
        if not self.teacher.has_class_token:
            prediction_BND, scored_BN = prediction_BND[:, 1:], scored_BN[:, 1:]
        return scored_mean(token_distance(prediction_BND, target_BND, self.recipe.loss), scored_BN)


@dataclass(frozen=True)
class SymmetricObjective:
    """The loss of a symmetric student against a frozen teacher, which may see the crop at another size."""

    teacher: Teacher
    recipe: SymmetricPretrain

    def __call__(self, student: nn.Module, images_BCHW: Tensor, masked_BN: Tensor, pixels_BCHW: Tensor) -> Tensor:
        """The scalar loss of a batch: the mean over all its masked tokens, however many each image has.

        Args:
            student: the student, bare or wrapped for distribution or compilation.
            images_BCHW: normalised images, seen by the student with mask tokens in them.
            masked_BN: bool, true where a patch is masked.
            pixels_BCHW: the same crops for the teacher, in 0..1.
        """
        target_BND = self.teacher(pixels_BCHW).float()
        if self.recipe.target.normalise:
            target_BND = normalise_tokens(target_BND)
        prediction_BND = student(images_BCHW, masked_BN)
        scored_BN = with_class_token(masked_BN.float(), self.recipe.class_token_in_loss)
        if not self.teacher.has_class_token:
            prediction_BND, scored_BN = prediction_BND[:, 1:], scored_BN[:, 1:]
        return scored_mean(token_distance(prediction_BND, target_BND, self.recipe.loss), scored_BN)
