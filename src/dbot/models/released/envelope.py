"""Where in a file the weights are: below which key, and behind which prefix of every name."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import Tensor

from dbot.base.errors import UserError

Say = Callable[[str], object]
"""What takes a line for the user."""

ENVELOPES = (
    "model",
    "teacher",
    "state_dict",
    "module",
    "model_state_dict",
    "network",
    "net",
    "model_ema",
    "state_dict_ema",
    "ema",
    "student",
)
"""Keys under which training programs put weights, beside optimizer and settings; the first one is taken unless another is named."""

NO_WEIGHTS = re.compile(r"optim|sched|scaler|callback|hyper|(^|_)(amp|loss|rng)(_|$)")
"""Keys whose tensors are the state of a training."""

DEEPEST = 3

WRAPPERS = ("module", "_orig_mod", "model", "net", "network", "_fsdp_wrapped_module", "_forward_module")
"""What stands before every name when a wrapper (DistributedDataParallel, torch.compile, FSDP, DeepSpeed, a Lightning module) was saved."""

INSIDE = re.compile(r"\.(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)")
"""What wrappers of single blocks put into names."""

COUNTER = "n_averaged"
"""What torch's AveragedModel keeps beside the weights."""

OTHERS = "--weights, or `entry` in a declaration, names another"


def silent(line: str) -> None:
    """Says nothing."""


def unwrapped(content: Any, entry: str | None, source: str, say: Say) -> dict[str, Tensor]:
    """The weights among what a file holds, by the names that it gives them.

    Args:
        content: what the file holds.
        entry: the dotted key below which they are, or that and the beginning of their names; None: the first of `ENVELOPES`.
        source: the file, for messages.
        say: told what was passed over.

    Raises:
        UserError: it holds none, or several of which none comes first.
    """
    top = _tensors(content) if isinstance(content, dict) else {}
    found = _entries(content) if isinstance(content, dict) else {}
    if entry is not None:
        return _named(entry, top, found, source)
    ranked = sorted(found, key=_rank)
    if not ranked or (_rank(ranked[0])[0] == len(ENVELOPES) and len(found[ranked[0]]) <= len(top)):
        if not top:
            keys = f" (its keys: {_some(list(map(str, content)))})" if isinstance(content, dict) and content else ""
            tried = ", ".join(ENVELOPES)
            raise UserError(f"{source}: holds no weights by name, neither at its top nor under {tried}{keys}; name a checkpoint")
        return top
    if len(ranked) > 1 and _rank(ranked[0]) == _rank(ranked[1]):
        raise UserError(f"{source}: holds weights under {', '.join(map('.'.join, ranked))}; say which with --weights, or `entry`")
    taken, others = ranked[0], ranked[1:]
    beside = [key for key in map(str, content) if key not in {path[0] for path in ranked}]
    line = f"{source}: took the weights under {'.'.join(taken)}"
    if others:
        line += f"; there are others under {', '.join(map('.'.join, others))} ({OTHERS})"
    if beside:
        line += f"; passed over: {_some(beside)}"
    if others or beside:
        say(line)
    return found[taken]


def without_wrappers(tensors: Mapping[str, Tensor], source: str, say: Say) -> dict[str, Tensor]:
    """Weights without what wrappers put before all their names.

    Raises:
        UserError: some names have such a prefix and others don't.
    """
    named = {name: tensor for name, tensor in tensors.items() if name != COUNTER}
    prefix = shared_prefix(named)
    bare = {INSIDE.sub("", name[len(prefix) :]): tensor for name, tensor in named.items()}
    mixed = [wrapper for wrapper in WRAPPERS if any(name.startswith(f"{wrapper}.") for name in bare)]
    if mixed or len(bare) < len(named):
        other = next((name for name in bare if mixed and not name.startswith(f"{mixed[0]}.")), "")
        what = f"begin with {mixed[0]}. and others don't ({other})" if mixed else "are the same without what wrappers put into them"
        raise UserError(f"{source}: some of its names {what}: two networks in one; name one with --weights, or `entry`")
    inside = sorted({f"{found[1]}." for name in named for found in [INSIDE.search(name[len(prefix) :])] if found is not None})
    if prefix or inside:
        where = [f"{prefix}, with which all names begin"] if prefix else []
        say(f"{source}: took off {' and '.join([*where, *(f'{name} inside names' for name in inside)])}")
    return bare


def shared_prefix(names: Collection[str]) -> str:
    """The chain of wrappers' prefixes with which all names begin: ``module._orig_mod.``, or nothing."""
    prefix = ""
    while True:
        first = next((w for w in WRAPPERS if names and all(name.startswith(f"{prefix}{w}.") for name in names)), None)
        if first is None:
            return prefix
        prefix += f"{first}."


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _entries(content: Mapping[Any, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], dict[str, Tensor]]:
    """By path, the mappings below that hold weights; none within another."""
    below: dict[tuple[str, ...], dict[str, Tensor]] = {}
    if len(path) < DEEPEST:
        for key, value in content.items():
            if isinstance(key, str) and isinstance(value, dict) and (path or not NO_WEIGHTS.search(key.lower())):
                below |= _entries(value, (*path, key))
    own = _tensors(content) if path else {}
    known = bool(path) and (path[0] in ENVELOPES or any(name.endswith("weight") for name in own))
    return {path: own} if known and len(own) > max(map(len, below.values()), default=0) else below


def _rank(path: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(ENVELOPES.index(part) if part in ENVELOPES else len(ENVELOPES) for part in path)


def _named(entry: str, top: dict[str, Tensor], found: Mapping[tuple[str, ...], dict[str, Tensor]], source: str) -> dict[str, Tensor]:
    """The weights under a key, or those of them whose names begin with the rest of it."""
    for path, tensors in {(): top, **found}.items():
        where = "".join(f"{part}." for part in path)
        rest = f"{entry}.".removeprefix(where) if f"{entry}.".startswith(where) else None
        if path and rest == "":
            return tensors
        if rest and (chosen := {name[len(rest) :]: tensor for name, tensor in tensors.items() if name.startswith(rest)}):
            return chosen
    there = ", ".join(map(".".join, found)) or "no key of their own"
    raise UserError(f"{source}: holds no weights under {entry}; there are some under {there}")


def _some(names: list[str], most: int = 8) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
