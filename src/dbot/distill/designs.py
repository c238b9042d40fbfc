"""The two designs of a student: how each is built, drawn anew, and turned into a teacher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dbot.models.asymmetric import AsymmetricStudent
from dbot.models.encoder import build_encoder, initialise
from dbot.models.positions import resize_to_grid
from dbot.models.symmetric import Positions, SymmetricStudent, build_symmetric_encoder, initialise_symmetric
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.teachers import Architecture

Student = AsymmetricStudent | SymmetricStudent


@dataclass(frozen=True)
class Design:
    """What the beginning of a stage asks of a design."""

    student: Callable[[Architecture, Any, int], Student]
    """A student for (its architecture, the recipe, the width of the teacher's tokens)."""
    initialise: Callable[[nn.Module, torch.Generator, Any], None]
    """Draw all weights of a (student or encoder, from a source of draws, as the recipe says)."""
    encoder: Callable[[Architecture, Any, int | None], nn.Module]
    """An encoder as the student's, for (its architecture, the recipe, how many blocks)."""
    promoted: Callable[[Architecture, Mapping[str, Tensor], int], nn.Module]
    """The trained encoder of (its architecture, its weights, the grid on which its tokens shall lie)."""
    predicting: str
    """Prefix of the weights whose shape depends on the teacher's width."""


def _asymmetric_student(architecture: Architecture, recipe: AsymmetricPretrain, target_width: int) -> AsymmetricStudent:
    return AsymmetricStudent(architecture, recipe.decoder, target_width, recipe.drop_path, recipe.shortcuts)


def _initialise_asymmetric(module: nn.Module, draws: torch.Generator, recipe: AsymmetricPretrain) -> None:
    initialise(module, draws)


def _asymmetric_encoder(architecture: Architecture, recipe: AsymmetricPretrain, depth: int | None) -> nn.Module:
    encoder: nn.Module = build_encoder(architecture, depth=depth)
    return encoder


def _promoted_asymmetric(architecture: Architecture, weights: Mapping[str, Tensor], grid: int) -> nn.Module:
    return _loaded(build_encoder(architecture, image_size=grid * architecture.patch_size), weights, grid)


def _symmetric_student(architecture: Architecture, recipe: SymmetricPretrain, target_width: int) -> SymmetricStudent:
    return SymmetricStudent(architecture, _positions(recipe), recipe.layer_scale, target_width, recipe.drop_path, recipe.shortcuts)


def _initialise_symmetric(module: nn.Module, draws: torch.Generator, recipe: SymmetricPretrain) -> None:
    initialise_symmetric(module, draws, recipe.initial_std)


def _symmetric_encoder(architecture: Architecture, recipe: SymmetricPretrain, depth: int | None) -> nn.Module:
    return build_symmetric_encoder(architecture, _positions(recipe), recipe.layer_scale, depth=depth)


def _promoted_symmetric(architecture: Architecture, weights: Mapping[str, Tensor], grid: int) -> nn.Module:
    encoder = build_symmetric_encoder(architecture, Positions.of(weights), image_size=grid * architecture.patch_size)
    return _loaded(encoder, weights, grid)


def _positions(recipe: SymmetricPretrain) -> Positions:
    return Positions(recipe.relative_positions, recipe.absolute_positions)


def _loaded(encoder: nn.Module, weights: Mapping[str, Tensor], grid: int) -> nn.Module:
    encoder.load_state_dict(resize_to_grid(weights, grid))
    return encoder


DESIGNS: Mapping[str, Design] = {
    "asymmetric": Design(_asymmetric_student, _initialise_asymmetric, _asymmetric_encoder, _promoted_asymmetric, "decoder.predict."),
    "symmetric": Design(_symmetric_student, _initialise_symmetric, _symmetric_encoder, _promoted_symmetric, "predict."),
}
"""By the name that recipes and checkpoints give them."""
