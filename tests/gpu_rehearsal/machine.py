"""A machine with a GPU of fake tensors: networks are built on the CPU without being drawn, and go to the device as on a real one."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from tests.gpu_rehearsal.pretended import pretended_cuda, replaced
from tests.gpu_rehearsal.watch import Answer, Share, Watch

aten = torch.ops.aten
GPU = torch.device("cuda", 0)
SMALL = 4096
"""Elements of a tensor above which its values matter to nobody while a network is built."""
HALF = (torch.bfloat16, torch.float16)


class Undrawn(TorchDispatchMode):
    """Leaves large tensors as they were allocated: memory that nobody writes costs neither time nor memory."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.is_mutable and args and isinstance(args[0], Tensor) and args[0].numel() > SMALL:
            return args[0]
        # Draws from a part of a distribution are repeated while any value lies outside, as one left by other memory might for ever.
        if func is aten.any.default and args[0].numel() > SMALL:
            return torch.tensor(False)
        return func(*args, **(kwargs or {}))


class Machine:
    """What computes on the fake device, and what watches it."""

    def __init__(self, answers: Mapping[str, Answer], shares: Mapping[str, Share]) -> None:
        self.watch = Watch(answers, shares)
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._depth = 0
        self.moved: dict[Tensor, Tensor] = {}
        """By tensors of modules on the CPU, those that took their place."""

    def take(self, module: nn.Module) -> None:
        """Give a module's parameters and registered buffers storage on the device."""
        for part in module.modules():
            for held in (part._parameters, part._buffers):
                for name, tensor in held.items():
                    if tensor is not None and tensor.device.type != "cuda":
                        held[name] = self._there(tensor)

    def turn(self, module: nn.Module, dtype: torch.dtype) -> None:
        """Give what a module holds on the device another type."""
        for part in module.modules():
            for held in (part._parameters, part._buffers):
                for name, tensor in held.items():
                    if tensor is not None and tensor.is_floating_point():
                        turned = torch.empty_strided(tensor.shape, tensor.stride(), dtype=dtype, device=GPU)
                        held[name] = nn.Parameter(turned, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else turned
                        self.moved = {before: there for before, there in self.moved.items() if there is not tensor}

    def _there(self, tensor: Any) -> Any:
        if tensor not in self.moved:
            there: Tensor = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=GPU)
            self.moved[tensor] = nn.Parameter(there, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else there
        return self.moved[tensor]

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Tensors are fake meanwhile."""
        with ExitStack() as stack:
            if not self._depth:
                stack.enter_context(self._mode)
                stack.enter_context(self.watch)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1


@contextmanager
def fake_gpu(answers: Mapping[str, Answer], shares: Mapping[str, Share]) -> Iterator[Machine]:
    """A machine on which modules go to `GPU` as they do on a real one: parameters and registered buffers, and nothing else.

    Args:
        answers: of values that are asked for, as `Watch` has them.
        shares: of what is found, as `Watch` has them.
    """
    machine = Machine(answers, shares)
    moved, attend = nn.Module.to, functional.scaled_dot_product_attention

    def to(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        held = next(module.parameters(), None)
        there = device.type == "cuda" if device is not None else held is not None and held.device.type == "cuda"
        if not there:
            return moved(module, *args, **kwargs)
        with machine.computing():
            machine.take(module)
            if dtype is not None:
                machine.turn(module, dtype)
        return module

    def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        chosen = attend if query.device.type != "cuda" else _attention
        return chosen(query, key, value, attn_mask, *args, **kwargs)

    with pretended_cuda(), ExitStack() as stack:
        replaced(stack, {"torch.nn.Module.to": to, "torch.nn.functional.scaled_dot_product_attention": attention})
        yield machine


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout_p: float = 0.0, **more: Any) -> Tensor:
    """Attention by the kernel that torch takes on a data centre's GPU: flash without a mask, the memory-efficient one otherwise.

    What autocast and torch do around them is done here: types, and masks whose rows begin at multiples of 16 elements.
    """
    if torch.is_autocast_enabled("cuda"):
        wanted = torch.get_autocast_dtype("cuda")
        query, key, value = query.to(wanted), key.to(wanted), value.to(wanted)
        mask = mask.to(wanted) if mask is not None and mask.is_floating_point() else mask
    with torch.autocast("cuda", enabled=False):
        if mask is None and query.dtype in HALF:
            found: Tensor = aten._scaled_dot_product_flash_attention(query, key, value, dropout_p, False)[0]
            return found
        if mask is not None:
            length = mask.shape[-1]
            mask = functional.pad(mask, (0, -length % 16))[..., :length].expand(*query.shape[:3], key.shape[2])
        trained = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value))
        found = aten._scaled_dot_product_efficient_attention(query, key, value, mask, trained, dropout_p)[0]
        return found
