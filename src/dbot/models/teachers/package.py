"""A network from any installed package as a teacher: the output of one of its modules, token by token."""

import importlib
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.models.released.envelope import shared_prefix
from dbot.models.released.reading import read_tensors
from dbot.models.teachers.teacher import Teacher
from dbot.params.scales import Normalisation
from dbot.params.teachers import PackageTeacher

CPU_IMAGES = 8
"""Images that go through a network at once on a CPU."""


class _Reached(Exception):
    """The module whose output is wanted has given it; what lies behind need not be computed."""


class ModuleTeacher(Teacher):
    """A network whose tokens are the output of one of its modules: a map (B, C, H, W), or tokens (B, [prefix +] N, C).

    Raises:
        UserError: the network can't be built, loaded or run as declared, or gives no square map of tokens.
    """

    def __init__(self, declared: PackageTeacher) -> None:
        super().__init__(declared.image_size, Normalisation(mean=declared.mean, std=declared.std))
        self.network = package_network(declared)
        self.prefix = declared.prefix_tokens
        self.has_class_token = self.prefix > 0
        self._found: Tensor | None = None
        try:
            module = self.network.get_submodule(declared.module)
        except AttributeError:
            known = [name for name, _ in self.network.named_children()]
            raise UserError(
                f"teacher {declared.network}: has no module {declared.module!r}; its first ones are: {', '.join(known)}"
            ) from None
        module.register_forward_hook(self._reached)
        self.requires_grad_(False).eval()
        self.grid, self.width = self._measured(declared)

    def _reached(self, module: nn.Module, given: Any, output: Any) -> None:
        self._found = output
        raise _Reached

    @torch.no_grad()
    def _measured(self, declared: PackageTeacher) -> tuple[int, int]:
        """Patches along one side and width, seen on an empty image."""
        title, size = declared.network, self.image_size
        try:
            found = self._output(torch.zeros(1, 3, size, size))
        except Exception as error:  # noqa: BLE001 (whatever the foreign network raises)
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"teacher {title} can't be run on images of {size} px ({reason}); change its image_size") from None
        if not isinstance(found, Tensor) or found.ndim not in (3, 4):
            raise UserError(f"teacher {title}: module {declared.module!r} gives no map and no tokens; name another module")
        if found.ndim == 4:
            height, width = found.shape[-2:]
            if height == width and not self.prefix:
                return height, found.shape[1]
            raise UserError(
                f"teacher {title}: module {declared.module!r} gives a map of {height} x {width}; it must be a square, and prefix_tokens 0"
            )
        patches = found.shape[1] - self.prefix
        grid = math.isqrt(max(0, patches))
        if grid**2 != patches or not grid:
            raise UserError(
                f"teacher {title}: module {declared.module!r} gives {found.shape[1]} tokens, which are no square behind "
                f"{self.prefix} others; change its prefix_tokens or its module"
            )
        return grid, found.shape[2]

    def _output(self, images_BCHW: Tensor) -> Tensor:
        """What the module gives."""
        self._found = None
        with suppress(_Reached):
            self.network(images_BCHW)
        found, self._found = self._found, None
        if found is None:
            raise RuntimeError("the module is never reached")
        return found

    def hold_weights_in(self, dtype: torch.dtype) -> None:
        """Does nothing: a foreign package's code may go by the type of its weights."""

    def tokens(self, images_BCHW: Tensor) -> Tensor:
        # The maps of a few images stay in a CPU's cache: 1.4 times as many images a second (measured).
        parts = images_BCHW.split(CPU_IMAGES) if images_BCHW.device.type == "cpu" else (images_BCHW,)
        found = torch.cat([self._output(part) for part in parts])
        if found.ndim == 4:
            return found.flatten(2).transpose(1, 2)
        return torch.cat([found[:, : min(1, self.prefix)], found[:, self.prefix :]], dim=1)


def package_network(declared: PackageTeacher) -> nn.Module:
    """The network that a declaration names, with its weights.

    Raises:
        UserError: it can't be built, or the weights are not its own.
    """
    try:
        network = _named(declared.network)(**declared.arguments)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever the foreign package raises)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"teacher {declared.network} can't be built ({reason[:160]}); change its network or its arguments") from None
    if not isinstance(network, nn.Module):
        raise UserError(f"teacher {declared.network}: gives a {type(network).__name__}, not a network of torch; name another function")
    if declared.weights is not None:
        path = Path(declared.weights)
        if not path.is_file():
            path = Path(_named(declared.weights)())
        tensors = read_tensors(path)
        own = network.state_dict()
        if not own.keys() & tensors.keys():
            prefix = shared_prefix(tensors)
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        misfits = [name for name in (*own, *tensors) if name not in tensors or name not in own or own[name].shape != tensors[name].shape]
        if misfits:
            raise UserError(f"{path}: doesn't hold the weights of teacher {declared.network} (first at {misfits[0]}); name another file")
        network.load_state_dict(tensors)
    # Convolutions on a CPU run up to twice as fast in this layout (measured); a transformer doesn't notice.
    return network.to(memory_format=torch.channels_last)


def _named(path: str) -> Callable[..., Any]:
    """What a dotted path names in an installed package.

    Raises:
        UserError: there is nothing of that name.
    """
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                continue
            raise UserError(f"{path}: package {error.name} is needed and not installed; install it") from None
        for name in parts[count:]:
            found = getattr(found, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
        raise UserError(f"{path}: module {module} has no function {'.'.join(parts[count:])}; correct the name")
    raise UserError(f"{path}: is neither a file nor a function of an installed package; install the package or correct the name")
