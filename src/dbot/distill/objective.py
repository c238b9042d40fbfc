"""One step of masked distillation: mask, predict, compare with the teacher (paper, section 3.1).

A batch of B images has M masks of each image, mask after mask: views of image i are at i, B + i, 2 B + i, …
The teacher sees each image once. In the paper M is 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dbot.distill.loss import mean_over_masks, token_distance, with_class_token
from dbot.distill.masking import Mask, random_mask
from dbot.distill.target import normalise_tokens
from dbot.models.blocks import take
from dbot.models.teachers.teacher import Teacher
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain


@dataclass(frozen=True)
class AsymmetricObjective:
    """The loss of an asymmetric student against a frozen teacher."""

    teacher: Teacher
    recipe: AsymmetricPretrain

    def __call__(self, student: nn.Module, images_BCHW: Tensor, noise_VN: Tensor, pixels_BCHW: Tensor) -> Tensor:
        """The scalar loss of a batch.

        Args:
            student: the student, bare or wrapped for distribution or compilation.
            images_BCHW: normalised images, seen masked by the student.
            noise_VN: uniform noise that decides the mask of each of the V = M B views.
            pixels_BCHW: the same images for the teacher, whole, in 0..1.
        """
        mask, masks = random_mask(noise_VN, self.recipe.mask_ratio), len(noise_VN) // len(images_BCHW)
        target_BND, views_VCHW = self.teacher(pixels_BCHW).float(), repeated(images_BCHW, masks)
        if self.recipe.shortcuts:
            return self._at_scored_tokens(student, views_VCHW, mask, repeated(target_BND, masks), masks)
        if self.recipe.target.normalise:
            target_BND = normalise_tokens(target_BND)
        prediction_VND = student(views_VCHW, mask.keep_BK, mask.restore_BN)
        scored_VN = with_class_token(mask.masked_BN, self.recipe.class_token_in_loss)
        if not self.teacher.has_class_token:
            prediction_VND, scored_VN = prediction_VND[:, 1:], scored_VN[:, 1:]
        return mean_over_masks(token_distance(prediction_VND, repeated(target_BND, masks), self.recipe.loss), scored_VN, masks)

    def _at_scored_tokens(self, student: nn.Module, views_VCHW: Tensor, mask: Mask, target_VND: Tensor, masks: int) -> Tensor:
        """The same loss from predictions and targets at the scored tokens alone: as many in every view."""
        scored_VS = mask.hidden_BM + 1
        if self.recipe.class_token_in_loss:
            scored_VS = torch.cat([scored_VS.new_zeros(len(scored_VS), 1), scored_VS], dim=1)
        target_VSD = take(target_VND, scored_VS if self.teacher.has_class_token else scored_VS - 1)
        if self.recipe.target.normalise:
            target_VSD = normalise_tokens(target_VSD)
        prediction_VSD = student(views_VCHW, mask.keep_BK, mask.restore_BN, scored_VS)
        return token_distance(prediction_VSD, target_VSD, self.recipe.loss).mean()


@dataclass(frozen=True)
class SymmetricObjective:
    """The loss of a symmetric student against a frozen teacher, which may see the crop at another size."""

    teacher: Teacher
    recipe: SymmetricPretrain

    def __call__(self, student: nn.Module, images_BCHW: Tensor, masked_VN: Tensor, pixels_BCHW: Tensor) -> Tensor:
        """The scalar loss of a batch: the mean over all its masked tokens, however many each image has, and over the M masks.

        Args:
            student: the student, bare or wrapped for distribution or compilation.
            images_BCHW: normalised images, seen by the student with mask tokens in them.
            masked_VN: bool, true where a patch is masked in each of the V = M B views.
            pixels_BCHW: the same crops for the teacher, in 0..1.
        """
        masks = len(masked_VN) // len(images_BCHW)
        target_BND = self.teacher(pixels_BCHW).float()
        if self.recipe.target.normalise:
            target_BND = normalise_tokens(target_BND)
        prediction_VND = student(repeated(images_BCHW, masks), masked_VN)
        scored_VN = with_class_token(masked_VN.float(), self.recipe.class_token_in_loss)
        if not self.teacher.has_class_token:
            prediction_VND, scored_VN = prediction_VND[:, 1:], scored_VN[:, 1:]
        return mean_over_masks(token_distance(prediction_VND, repeated(target_BND, masks), self.recipe.loss), scored_VN, masks)


def repeated(tensor: Tensor, masks: int) -> Tensor:
    """A batch once for each mask, one copy behind the other."""
    return tensor if masks == 1 else torch.cat([tensor] * masks)
