"""Any network of timm as a teacher, whatever its shape: its last map of features, token by token."""

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from dbot.errors import UserError
from dbot.models.pixels import Teacher
from dbot.params.teachers import TimmTeacher


class TimmPixelTeacher(Teacher):
    """A network of timm that normalises with its own statistics. It is frozen and in eval mode, always.

    Args:
        declared: which network, its weights and the size of its images.
        final_norm: whether its final norm is applied, where it has one; with a projection it always is.

    Raises:
        UserError: there is no such network, it can't take images of that size, or its weights can't be had.
    """

    network: Any
    mean: Tensor
    std: Tensor

    def __init__(self, declared: TimmTeacher, final_norm: bool) -> None:
        super().__init__()
        self.network = _build(declared)
        self.projection = declared.projection
        self.final_norm = final_norm
        self.image_size = declared.image_size
        statistics = self.network.pretrained_cfg
        self.register_buffer("mean", torch.tensor(statistics["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(statistics["std"]).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()
        self.prefix, self.grid, self.width = self._measured(declared.model)
        self.has_class_token = self.prefix > 0

    def _measured(self, model: str) -> tuple[int, int, int]:
        """Tokens before those of patches, patches along one side, and width, seen on an empty image."""
        try:
            map_BCHW, prefix_BPC = self._features(torch.zeros(1, 3, self.image_size, self.image_size))
        except (AssertionError, RuntimeError, ValueError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"teacher {model} can't be run on images of {self.image_size} px ({reason}); change its image_size") from None
        height, width = map_BCHW.shape[-2:]
        if height != width:
            raise UserError(f"teacher {model} gives a map of {height} x {width}, not a square; use another network")
        return prefix_BPC.shape[1], height, map_BCHW.shape[1]

    def _features(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The last map of features, and the tokens before it (class token, registers), if there are any."""
        if self.projection:
            tokens_BND = self.network.head(self.network.forward_features(images_BCHW))
            count = int(self.network.num_prefix_tokens)
            side = round((tokens_BND.shape[1] - count) ** 0.5)
            return tokens_BND[:, count:].transpose(1, 2).unflatten(2, (side, side)), tokens_BND[:, :count]
        prefixed = {"return_prefix_tokens": True} if getattr(self.network, "num_prefix_tokens", 0) else {}
        (found,) = self.network.forward_intermediates(
            images_BCHW, indices=1, norm=self.final_norm, output_fmt="NCHW", intermediates_only=True, **prefixed
        )
        return found if prefixed else (found, images_BCHW.new_zeros(len(images_BCHW), 0, found.shape[1]))

    def train(self, mode: bool = True) -> "TimmPixelTeacher":
        """Does nothing: a teacher never leaves eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Tokens of whole images: (B, [1 +] grid², width). Of several tokens before the patches, only the first is given."""
        size = (self.image_size, self.image_size)
        if pixels_BCHW.shape[-2:] != size:
            pixels_BCHW = functional.interpolate(pixels_BCHW, size, mode="bicubic", antialias=True, align_corners=False)
        map_BCHW, prefix_BPC = self._features((pixels_BCHW - self.mean) / self.std)
        return torch.cat([prefix_BPC[:, :1], map_BCHW.flatten(2).transpose(1, 2)], dim=1)


def _build(declared: TimmTeacher) -> nn.Module:
    name, weights = declared.model, declared.weights
    if not timm.is_model(name):
        near = timm.list_models(f"{name.split('_')[0]}*", pretrained=False)[:3]
        raise UserError(
            f"teacher {name}: timm {timm.__version__} has no such model; some that it has: {', '.join(near) or 'see timm.list_models()'}"
        )
    options: dict[str, Any] = {"pretrained": weights != "random"}
    if weights not in ("hub", "random"):
        if not Path(weights).is_file():
            raise UserError(f"{weights}: there is no such file of weights for teacher {name}; name one, or say hub or random")
        options["pretrained_cfg_overlay"] = {"file": weights}
    try:
        try:
            network: nn.Module = timm.create_model(name, img_size=declared.image_size, **options)
        except TypeError:  # a convolutional network takes images of any size, and no word about it
            network = timm.create_model(name, **options)
    except Exception as error:  # noqa: BLE001 (whatever the hub, the network or a damaged file raise)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"teacher {name}: its weights ({weights}) can't be loaded ({reason[:160]}); name a local file as its weights"
        ) from None
    return network
