"""A GPU whose values are real: tensors that say `cuda:0` and have a CPU tensor compute.

What a real device refuses is refused: operands on several devices, and NumPy on what lies on it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader

from tests.gpu_rehearsal.pretended import pretended_cuda

aten = torch.ops.aten
GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
ACROSS = (aten.copy_.default, aten._to_copy.default, aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
"""What takes tensors of the CPU beside those of the device; of indexing, the indices."""


class OnDevice(Tensor):
    """A tensor on the device; ``host`` has its values."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> "OnDevice":
        made: OnDevice = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, host.size(), strides=host.stride(), storage_offset=host.storage_offset(), dtype=host.dtype, device=GPU
        )
        made.host = host.detach()
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.host.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert a cuda:0 tensor to numpy; copy it to the host first")

    __array__ = numpy

    def data_ptr(self) -> int:
        return self.host.data_ptr()

    def __repr__(self, **kwargs: Any) -> str:
        return f"{self.host!r} on {GPU}"


class Emulation(TorchDispatchMode):
    """Has what is made with the device's name made on it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def to_host(value: Any) -> Any:
    return value.detach().host.clone() if isinstance(value, OnDevice) else value


def to_device(value: Any) -> Any:
    return OnDevice(value) if type(value) is Tensor else value


def _compute(func: Any, args: Any, kwargs: Any) -> Any:
    given = [part for part in tree_leaves((args, kwargs)) if isinstance(part, Tensor)]
    held = [part for part in given if isinstance(part, OnDevice)]
    asked = kwargs.get("device")
    on_device = bool(held) if asked is None else torch.device(asked).type == "cuda"
    if held and func not in ACROSS and any(part.dim() for part in given if not isinstance(part, OnDevice)):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({func})")
    changes = {"device": CPU} if asked is not None else {}
    changes |= {name: False for name in ("non_blocking", "pin_memory") if kwargs.get(name)}
    host_args, host_kwargs = tree_map(lambda part: part.host if isinstance(part, OnDevice) else part, (args, {**kwargs, **changes}))
    out = func(*host_args, **host_kwargs)
    written = _written(func, args, kwargs)
    if written and func._schema.returns:
        if isinstance(written[0], OnDevice) and written[0].shape != written[0].host.shape:
            raise NotImplementedError(f"{func} changes a shape in place")
        if all(value.alias_info is not None and value.alias_info.is_write for value in func._schema.returns):
            return written[0] if len(func._schema.returns) == 1 else tuple(written)
    return tree_map(to_device, out) if on_device else out


def _written(func: Any, args: Any, kwargs: Any) -> list[Any]:
    """The arguments that a function changes in place, which are what it returns."""
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[place] if place < len(args) else kwargs.get(argument.name))
    return found


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout_p: float = 0.0, **more: Any) -> Tensor:
    """Attention in the plain way, in autocast's type; a wrapper has no kernel to be chosen for."""
    if torch.is_autocast_enabled("cuda"):
        wanted = torch.get_autocast_dtype("cuda")
        query, key, value = query.to(wanted), key.to(wanted), value.to(wanted)
        mask = mask.to(wanted) if mask is not None and mask.is_floating_point() else mask
    with torch.autocast("cuda", enabled=False):
        found: Tensor = aten._scaled_dot_product_attention_math(query, key, value, mask, dropout_p)[0]
        return found


@contextmanager
def emulated_gpu() -> Iterator[None]:
    """This process has a GPU, whose generators are the CPU's."""
    attend, pool, write, read = functional.scaled_dot_product_attention, functional.adaptive_avg_pool2d, torch.save, torch.load

    def attention(query: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if "attn_mask" in kwargs:
            kwargs["mask"] = kwargs.pop("attn_mask")
        return _attention(query, *args, **kwargs) if query.device.type == "cuda" else attend(query, *args, **_named(kwargs))

    def pooled(images: Tensor, size: Any) -> Tensor:
        """To a single place it is a mean whose strides are changed in place, which a wrapper can't follow."""
        return images.mean((-2, -1), keepdim=True) if size in (1, (1, 1)) else pool(images, size)

    def load(file: Any, map_location: Any = None, **more: Any) -> Any:
        on_device = map_location is not None and torch.device(map_location).type == "cuda"
        found = read(file, map_location="cpu" if on_device else map_location, **more)
        return tree_map(to_device, found) if on_device else found

    values = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "get_device_name": lambda device=None: "emulated",
        "manual_seed": lambda seed: torch.default_generator.manual_seed(seed),
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
        "is_current_stream_capturing": lambda: False,
        "reset_peak_memory_stats": lambda device=None: None,
        "max_memory_allocated": lambda device=None: 1,
        "synchronize": lambda device=None: None,
        "_lazy_init": lambda: None,
    }
    changed: dict[str, Any] = {f"torch.cuda.{name}": value for name, value in values.items()}
    changed |= {"torch.nn.functional.scaled_dot_product_attention": attention, "torch.nn.functional.adaptive_avg_pool2d": pooled}
    changed |= {"torch.save": lambda value, file, **more: write(tree_map(to_host, value), file, **more), "torch.load": load}
    lifting = torch._C._only_lift_cpu_tensors()
    swapping = torch.__future__.get_swap_module_params_on_conversion()
    torch._C._set_only_lift_cpu_tensors(True)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with pretended_cuda(), ExitStack() as stack:
            for name, value in changed.items():
                stack.enter_context(patch(name, value))
            stack.enter_context(_unpinned())
            stack.enter_context(Emulation())
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifting)
        torch.__future__.set_swap_module_params_on_conversion(swapping)


def _named(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"attn_mask" if name == "mask" else name: value for name, value in kwargs.items()}


@contextmanager
def _unpinned() -> Iterator[None]:
    """Loaders leave their batches in memory that is not pinned: there is no driver to pin it."""
    begin = DataLoader.__init__

    def unpinned(loader: Any, *args: Any, pin_memory: bool = False, **kwargs: Any) -> None:
        begin(loader, *args, **kwargs)

    with patch.object(DataLoader, "__init__", unpinned):
        yield
