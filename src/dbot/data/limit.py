"""A smaller data set out of a larger one."""

import hashlib
from collections import defaultdict

from dbot.data.layouts.listing import Sample


def limited(samples: list[Sample], limit: int | None) -> list[Sample]:
    """At most ``limit`` samples, as many of each class as of any other where the class has them, in their old order.

    Which ones is decided by the digests of their paths: the same on every machine, unlike the
    first ones not all from one scene, and a smaller limit picks a part of what a larger one picks.
    """
    if limit is None or limit >= len(samples):
        return samples
    taken: dict[int, int] = defaultdict(int)
    turns: list[tuple[int, str, int]] = []
    for key, position in sorted((hashlib.sha256(sample.path.encode()).hexdigest(), i) for i, sample in enumerate(samples)):
        label = samples[position].label
        turns.append((taken[label], key, position))
        taken[label] += 1
    return [samples[position] for position in sorted(position for _, _, position in sorted(turns)[:limit])]
