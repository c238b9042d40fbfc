"""Networks of timm as teachers, whatever their shape: the map of features of one of their blocks, token by token."""

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.data.released import fault_of
from dbot.models import checkpoint
from dbot.models.positions import resize_to_grid
from dbot.models.released.envelope import Say, silent
from dbot.models.released.take_over import Stated, take_over
from dbot.models.teachers.teacher import Teacher
from dbot.models.timm_form import statistics_of, timm_form, timm_weights
from dbot.params.scales import Normalisation
from dbot.params.teachers import FileTeacher, TimmTeacher


class NetworkTeacher(Teacher):
    """A network of timm. Of several tokens before those of patches (registers), only the first is given.

    Args:
        network: in any mode; it stays as it is but for its gradients.
        title: what messages call it.
        image_size: side of the images that it sees, in pixels.
        statistics: mean and standard deviation of pixels with which it was trained.
        block: whose output is taken, from 0; of a network of stages, the stage. None: the last.
        final_norm: whether its final norm is applied, where it has one; with a projection it always is.
        projection: pass every token through the network's head.

    Raises:
        UserError: it can't take images of that size, has no such block, or gives no square map.
    """

    network: Any

    def __init__(
        self,
        network: nn.Module,
        title: str,
        image_size: int,
        statistics: Normalisation,
        block: int | None = None,
        final_norm: bool = False,
        projection: bool = False,
    ) -> None:
        super().__init__(image_size, statistics)
        self.network = network
        self.block, self.final_norm, self.projection = block, final_norm, projection
        self.requires_grad_(False).eval()
        map_BCHW, prefix_BPC = self._seen(title)
        height, self.grid = map_BCHW.shape[-2:]
        if height != self.grid:
            raise UserError(f"teacher {title} gives a map of {height} x {self.grid}, not a square; use another network")
        self.width = map_BCHW.shape[1]
        self.has_class_token = prefix_BPC.shape[1] > 0

    @torch.no_grad()
    def _seen(self, title: str) -> tuple[Tensor, Tensor]:
        """Its features of an empty image."""
        try:
            return self._features(torch.zeros(1, 3, self.image_size, self.image_size))
        except (AssertionError, RuntimeError, ValueError, AttributeError, TypeError, IndexError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"teacher {title} can't be run on images of {self.image_size} px ({reason}); change its image_size"
                + ("" if self.block is None else " or its block")
            ) from None

    def _features(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """A map of features, and the tokens before it (class token, registers), if there are any."""
        if self.projection:
            tokens_BND = self.network.head(self.network.forward_features(images_BCHW))
            count = int(self.network.num_prefix_tokens)
            side = round((tokens_BND.shape[1] - count) ** 0.5)
            return tokens_BND[:, count:].transpose(1, 2).unflatten(2, (side, side)), tokens_BND[:, :count]
        prefixed = {"return_prefix_tokens": True} if getattr(self.network, "num_prefix_tokens", 0) else {}
        (found,) = self.network.forward_intermediates(
            images_BCHW,
            indices=1 if self.block is None else [self.block],
            norm=self.final_norm,
            output_fmt="NCHW",
            intermediates_only=True,
            **prefixed,
        )
        return found if prefixed else (found, images_BCHW.new_zeros(len(images_BCHW), 0, found.shape[1]))

    def tokens(self, images_BCHW: Tensor) -> Tensor:
        map_BCHW, prefix_BPC = self._features(images_BCHW)
        return torch.cat([prefix_BPC[:, :1], map_BCHW.flatten(2).transpose(1, 2)], dim=1)


def timm_teacher(declared: TimmTeacher, final_norm: bool) -> NetworkTeacher:
    """A network of timm's registry, with its own statistics.

    Raises:
        UserError: there is no such network, it doesn't fit the declaration, or its weights can't be had.
    """
    network = _build(declared)
    statistics = Normalisation(mean=list(network.pretrained_cfg["mean"]), std=list(network.pretrained_cfg["std"]))
    return NetworkTeacher(network, declared.model, declared.image_size, statistics, declared.block, final_norm, declared.projection)


def file_teacher(declared: FileTeacher, final_norm: bool, statistics: Normalisation, say: Say = silent) -> NetworkTeacher:
    """The network of a local file, in any layout that `dbot import` reads, positions resized to the declared image size.

    Args:
        declared: which file.
        final_norm: whether its final norm is applied; a CLIP tower's projection always follows its norm.
        statistics: of pixels, where the layout or the file names none.
        say: told what was passed over in the file, and what is assumed of it.

    Raises:
        UserError: the file is anything else than one whole network, or doesn't fit the declaration.
    """
    path = Path(declared.path)
    if checkpoint.is_ours(path):
        weights, about = checkpoint.load(path)
    else:
        stated = Stated(declared.entry, declared.heads, declared.activation, declared.mean, declared.std)
        weights, about = take_over(path, declared.layout, stated=stated, say=say)
    patch = int(about["architecture"]["patch_size"])
    if declared.image_size % patch:
        raise UserError(f"teacher {declared.path}: image_size is {declared.image_size}; it must be a multiple of its patch size, {patch}")
    named = resize_to_grid(timm_weights(weights, about), declared.image_size // patch)
    network = timm_form({**about, "image_size": declared.image_size}, named).build()
    network.load_state_dict(named)
    own = statistics_of(about, statistics)
    return NetworkTeacher(network, declared.path, declared.image_size, own, declared.block, final_norm, bool(about.get("projection")))


def _build(declared: TimmTeacher) -> Any:
    return timm_network(declared.model, declared.weights, f"teacher {declared.model}", img_size=declared.image_size)


def timm_network(name: str, weights: str, called: str, img_size: int | None = None, **options: Any) -> Any:
    """A network of timm's registry.

    Args:
        name: in the registry, with its tag.
        weights: `hub`, `random` or a local file.
        called: what messages call it.
        img_size: side of the images that it shall see, in pixels, where it is made for one. None: its own.
        options: for `timm.create_model`.

    Raises:
        UserError: there is no such network, or its weights can't be had.
    """
    if not timm.is_model(name):
        near = timm.list_models(f"{name.split('_')[0]}*", pretrained=False)[:3]
        raise UserError(
            f"{called}: timm {timm.__version__} has no such model; some that it has: {', '.join(near) or 'see timm.list_models()'}"
        )
    options = {"pretrained": weights != "random", **options}
    if weights not in ("hub", "random"):
        if not Path(weights).is_file():
            raise UserError(f"{weights}: there is no such file of weights for {called}; name one, or say hub or random")
        if (fault := fault_of(Path(weights))) is not None:
            raise UserError(f"{weights}: {fault}")
        options["pretrained_cfg_overlay"] = {"file": weights, **options.get("pretrained_cfg_overlay", {})}
    sized = {} if img_size is None else {"img_size": img_size}
    try:
        try:
            return timm.create_model(name, **sized, **options)
        except TypeError:  # a convolutional network takes images of any size, and no word about it
            return timm.create_model(name, **options)
    except Exception as error:  # noqa: BLE001 (whatever the hub, the network or a damaged file raise)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{called}: its weights ({weights}) can't be loaded ({reason[:160]}); name a local file as its weights") from None
