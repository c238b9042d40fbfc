"""Four maps of features from a plain ViT, for detection and segmentation, and how they are trained."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.models.checkpoint import fill
from dbot.models.dense_encoder import BiasedBlock, DenseEncoder, plain_weights
from dbot.models.encoder import initialise
from dbot.models.positions import resize_to_grid, sincos_positions
from dbot.models.relative import TABLE
from dbot.models.symmetric import Positions, initialise_symmetric
from dbot.params.dense import Dense
from dbot.params.recipes import Optimizer
from dbot.params.teachers import Architecture


class Pyramid(nn.Module):
    """Maps at a quarter, half, one and two times the patch size, from the tokens of four blocks (BEiT, arXiv 2106.08254, appendix).

    The batch norm counts one process's images; torch's converter makes it a synchronised one.

    Args:
        architecture: the encoder's configuration.
        recipe: names the taps and what else the encoder has.
        grid: patches along one side of the square grid that its position tables are for.
    """

    def __init__(self, architecture: Architecture, recipe: Dense, grid: int) -> None:
        super().__init__()
        width, patch = architecture.width, architecture.patch_size
        self.design = recipe.design
        self.channels = width
        self.strides = (patch // 4, patch // 2, patch, 2 * patch)
        self.divisor = 2 * patch
        self.encoder = DenseEncoder(architecture, recipe, grid)
        self.resamplers = nn.ModuleList(
            [
                nn.Sequential(_doubled(width), nn.BatchNorm2d(width), nn.GELU(), _doubled(width)),
                _doubled(width),
                nn.Identity(),
                nn.MaxPool2d(2),
            ]
        )

    def forward(self, images_BCHW: Tensor) -> list[Tensor]:
        """Four maps, the finest first: (B, channels, H / stride, W / stride).

        Args:
            images_BCHW: normalised images; `divisor` divides their sides.
        """
        height, width = images_BCHW.shape[-2:]
        if height % self.divisor or width % self.divisor:
            raise ValueError(f"{self.divisor} must divide the sides of the images, which are {height} x {width}")
        return [resample(tapped) for resample, tapped in zip(self.resamplers, self.encoder(images_BCHW), strict=True)]


def _doubled(width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(width, width, kernel_size=2, stride=2)


def build_pyramid(architecture: Architecture, recipe: Dense, image_size: int) -> Pyramid:
    """A pyramid with torch's and timm's weights until `initialise_pyramid`.

    Args:
        architecture: the encoder's configuration.
        recipe: names the taps and what else the encoder has.
        image_size: side in pixels of the images whose grid the position tables are made for; others are taken too.

    Raises:
        UserError: taps, image size or patch size don't fit.
    """
    patch, last = architecture.patch_size, architecture.depth - 1
    if patch % 4:
        raise UserError(f"a pyramid needs a patch size that 4 divides; {architecture.title} has {patch}; choose another architecture")
    if image_size % patch:
        raise UserError(f"image size {image_size} is no multiple of the patch size {patch} of {architecture.title}; change it")
    # The blocks above the highest tap would have no gradient.
    if max(recipe.taps) != last:
        raise UserError(f"taps {recipe.taps}: the highest must be {last}, the last block of {architecture.title}; change them")
    return Pyramid(architecture, recipe, image_size // patch)


def initialise_pyramid(pyramid: Pyramid, generator: torch.Generator) -> None:
    """Draw all weights of a pyramid anew: the encoder's as its design's pre-training begins, the resamplers' as torch does.

    Args:
        pyramid: what to initialise, in place.
        generator: source of all draws, so that every process can make the same ones.
    """
    encoder = pyramid.encoder
    if pyramid.design == "symmetric":
        initialise_symmetric(encoder, generator)
    else:
        initialise(encoder, generator)
        if encoder.pos_embed is not None:
            with torch.no_grad():
                encoder.pos_embed.copy_(sincos_positions(pyramid.channels, encoder.grid))
    for part in pyramid.modules():
        if isinstance(part, BiasedBlock | nn.BatchNorm2d):
            part.reset_parameters()
        elif isinstance(part, nn.ConvTranspose2d) and part.bias is not None:
            bound = 1 / math.sqrt(part.weight[0].numel())
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            nn.init.uniform_(part.bias, -bound, bound, generator=generator)


def load_encoder_into(pyramid: Pyramid, encoder_weights: Mapping[str, Tensor], source: str) -> None:
    """Take over a pre-trained encoder's weights, its positions resized to the pyramid's nominal grid.

    What the student does not have stays as it was: the resamplers and, as the recipe may say, the
    tables of relative positions and the layer scale. Its final norm is not used.

    Args:
        pyramid: takes them, in place.
        encoder_weights: those below ``encoder.`` of a student's checkpoint.
        source: what an error calls the checkpoint.

    Raises:
        UserError: the encoder is of another shape or design than the recipe says, or has what the recipe leaves out.
    """
    encoder = pyramid.encoder
    has = Positions.of(encoder_weights)
    weights = plain_weights(encoder_weights, len(encoder.blocks))
    own = set(encoder.state_dict())
    design = "symmetric" if any(name.endswith(".q_bias") for name in encoder_weights) else "asymmetric"
    if design != pyramid.design:
        raise UserError(f"{source}: is of the {design} design, the recipe is for the {pyramid.design}; choose the other's recipe")
    if has.absolute != ("pos_embed" in own):
        raise UserError(
            f"{source}: has {'' if has.absolute else 'no '}absolute positions; "
            f"set absolute_positions of the recipe to {str(has.absolute).lower()}, or start from another student"
        )
    fresh = set[str]()
    for ending, key, value in ((TABLE, "relative_positions", "true"), (".gamma", "layer_scale", "a number")):
        given, wanted = ({name for name in names if name.endswith(ending)} for names in (weights, own))
        if given and not wanted:
            raise UserError(f"{source}: has {key.replace('_', ' ')}; set {key} of the recipe to {value}, or start from another student")
        fresh |= wanted if not given else set()
    fill(encoder, resize_to_grid(weights, encoder.grid), source, fresh)


def dense_groups(model: nn.Module, pyramid_prefix: str, config: Optimizer) -> list[dict[str, Any]]:
    """The optimizer's groups for a pyramid with heads, by weight decay and scale of the learning rate.

    Block i of n has the scale decay^(n - i), class token, positions and patch embedding
    decay^(n + 1), everything else 1. Biases, one-dimensional parameters, the class token and
    absolute positions are not decayed.

    Args:
        model: the pyramid and what stands on it.
        pyramid_prefix: where the pyramid is in the model, as in ``backbone`` or ``backbone.``; empty: it is the model.
        config: weight decay and layer decay.
    """
    pyramid = model.get_submodule(pyramid_prefix.removesuffix("."))
    if not isinstance(pyramid, Pyramid):
        raise TypeError(f"{pyramid_prefix} is no pyramid")
    encoder = pyramid.encoder
    scales: dict[nn.Parameter, float] = {}
    for name, parameter in encoder.named_parameters():
        layer = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0
        scales[parameter] = config.layer_decay ** (len(encoder.blocks) + 1 - layer)
    exempt = {encoder.cls_token, encoder.pos_embed}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decay = 0.0 if parameter.ndim <= 1 or parameter in exempt else config.weight_decay
            groups.setdefault((decay, scales.get(parameter, 1.0)), []).append(parameter)
    return [{"params": parameters, "weight_decay": decay, "lr_scale": scale} for (decay, scale), parameters in groups.items()]
