"""Looks on while fake tensors compute: where the host would wait for the device, what is float64, how many bytes live."""

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import dbot

aten = torch.ops.aten
OURS = Path(dbot.__file__).parent
PLANTED = Path(__file__).with_name("planted.py")
DIFFERENT = 2
"""Values that `unique` finds."""
PAGE = 512
"""Bytes to whose multiples torch's allocator rounds."""
Answer = float | int | bool | Callable[[FrameType, Tensor], int]
"""A value, or what finds it from the frame of the function and the tensor of one element."""
Share = Callable[[int], int]
"""How many of so many elements are found."""


class Place(NamedTuple):
    """Something that happened, and where: the innermost function of this project."""

    what: str
    file: str
    """Below src/dbot."""
    function: str

    def __str__(self) -> str:
        return f"{self.what} in {self.file}, {self.function}"


def is_cuda(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == "cuda"


def callers() -> Iterator[FrameType]:
    """The frames of the call, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def where() -> tuple[str, str]:
    """File and function of the innermost frame of the project, or of a planted fault; of a backward pass, who called it."""
    for frame in callers():
        path = Path(frame.f_code.co_filename)
        for folder in (OURS, PLANTED):
            if path.is_relative_to(folder):
                return path.relative_to(folder if folder == OURS else folder.parent).as_posix(), frame.f_code.co_qualname
    return "", ""


class Watch(TorchDispatchMode):
    """Stands on a FakeTensorMode, notes what a real device would do, and answers where only values could.

    Args:
        answers: by function, the value that `.item()` has in it; elsewhere it is 0 or True.
        shares: by function, how many elements `nonzero` and its like find in it; elsewhere it is all.
    """

    def __init__(self, answers: Mapping[str, Answer], shares: Mapping[str, Share]) -> None:
        super().__init__()
        self.answers, self.shares = answers, shares
        self.waits = Counter[Place]()
        self.doubles = Counter[Place]()
        self.live = self.peak = 0
        self._sizes: dict[int, int] = {}
        self._counting = True

    def begin(self, peak: bool = True) -> None:
        """Forget what was seen, the peak too unless it shall stay; it begins at what lives."""
        self.waits.clear()
        self.doubles.clear()
        if peak:
            self.peak = self.live

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What happens meanwhile is no part of a step."""
        before, self._counting = self._counting, False
        try:
            yield
        finally:
            self._counting = before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = self._run(func, args, kwargs)
        for tensor in tree_leaves(out):
            if is_cuda(tensor):
                self._keep_account(tensor)
                if tensor.dtype == torch.float64:
                    self._note(self.doubles, "float64")
        return out

    def _note(self, found: Counter[Place], what: str) -> None:
        file, function = where()
        if self._counting and file:
            found[Place(what, file, function)] += 1

    def _wait(self, what: str) -> None:
        self._note(self.waits, what)

    # ---- memory

    def _keep_account(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._sizes:
            return
        self._sizes[storage._cdata] = size = -(-storage.nbytes() // PAGE) * PAGE
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._freed, storage._cdata)

    def _freed(self, storage: int) -> None:
        self.live -= self._sizes.pop(storage, 0)

    # ---- waits

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        if func is aten._local_scalar_dense.default and is_cuda(args[0]):
            self._wait("value")
            return self._value(args[0])
        if func is aten.nonzero.default and is_cuda(args[0]):
            self._wait("nonzero")
            return args[0].new_empty(self._found(args[0].numel()), args[0].dim(), dtype=torch.int64)
        if func is aten.masked_select.default and is_cuda(args[0]):
            self._wait("masked_select")
            return args[0].new_empty(self._found(args[1].numel()))
        if func is aten.repeat_interleave.Tensor and is_cuda(args[0]) and kwargs.get("output_size") is None:
            self._wait("repeat_interleave")
            return args[0].new_empty(self._found(args[0].numel()))
        if func is aten._unique2.default and is_cuda(args[0]):
            self._wait("unique")
            return args[0].new_empty(DIFFERENT), *(args[0].new_empty(0, dtype=torch.int64) for _ in range(2))
        if func is aten.bincount.default and is_cuda(args[0]):
            self._wait("bincount")
            return args[0].new_empty(kwargs.get("minlength", 0) or args[2])
        if func is aten._linalg_check_errors.default and is_cuda(args[0]):
            self._wait("check of linear algebra")
            return None
        if func is aten.index.Tensor and any(_is_mask(index) for index in args[1]):
            return func(args[0], self._numbers(args[1]))
        if func in (aten.index_put_.default, aten.index_put.default) and any(_is_mask(index) for index in args[1]):
            return self._put(func, args, kwargs)
        if str(func) == "torchvision.nms.default" and is_cuda(args[0]):
            self._wait("nms")
            return args[0].new_empty(len(args[0]), dtype=torch.int64)
        if func is aten._to_copy.default and (device := kwargs.get("device")) is not None:
            self._copied(args[0], torch.device(device).type)
        if func is aten.copy_.default:
            self._copied(args[1], args[0].device.type)
        return func(*args, **kwargs)

    def _value(self, one: Tensor) -> float | int | bool:
        for frame in callers():
            if (answer := self.answers.get(frame.f_code.co_qualname)) is not None:
                return answer(frame, one) if callable(answer) else answer
        return True if one.dtype == torch.bool else 0.0 if one.dtype.is_floating_point else 0

    def _found(self, count: int) -> int:
        rules = (rule for frame in callers() if (rule := self.shares.get(frame.f_code.co_qualname)) is not None)
        return next(rules, _all)(count)

    def _numbers(self, indices: Any) -> list[Any]:
        """Indices with numbers in the place of masks, as torch makes them."""
        numbers: list[Any] = []
        for index in indices:
            if not _is_mask(index):
                numbers.append(index)
                continue
            if is_cuda(index):
                self._wait("mask as index")
            count = self._found(index.numel())
            numbers += [index.new_empty(count, dtype=torch.int64) for _ in range(index.dim())]
        return numbers

    def _put(self, func: Any, args: Any, kwargs: Any) -> Any:
        """One value goes where the mask is without anybody knowing how many places that are; several don't."""
        if args[2].numel() > 1 and any(is_cuda(index) for index in args[1] if _is_mask(index)):
            self._wait("mask as index")
        return args[0] if func is aten.index_put_.default else args[0].clone()

    def _copied(self, source: Tensor, to: str) -> None:
        if {source.device.type, to} == {"cpu", "cuda"}:
            # From memory that is not pinned a copy waits, whatever was asked for.
            self._wait(f"copy {source.device.type} to {to}")


def _all(count: int) -> int:
    return count


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
