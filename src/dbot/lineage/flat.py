"""Nested settings as one mapping from dotted keys to plain values."""

from collections.abc import Iterator, Mapping
from typing import Any


def flattened(data: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """``{"loss": {"beta": 2}}`` as ``{"loss.beta": 2}``; lists are values."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        here = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, here))
        else:
            flat[here] = value
    return flat


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each dotted key at which two settings differ, with both values; a key that is not there counts as None."""
    left, right = flattened(one), flattened(other)
    for key in [*left, *(key for key in right if key not in left)]:
        if (key in left) != (key in right) or left[key] != right[key]:
            yield key, left.get(key), right.get(key)
