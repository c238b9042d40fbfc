"""Reading ahead with threads: Pillow lets several decode at once, and nothing is forked or drawn."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

DECODERS = 8
"""Most threads that decode images."""

Key = TypeVar("Key")
Value = TypeVar("Value")


def read_ahead(read: Callable[[Key], Value], batches: Iterable[Sequence[Key]]) -> Iterator[list[Value]]:
    """What ``read`` gives for each batch of keys, in order; the next batch is read while the caller works on the last."""
    with ThreadPoolExecutor(min(DECODERS, len(os.sched_getaffinity(0)))) as pool:
        coming: list[Future[Value]] | None = None
        try:
            for batch in batches:
                next_ones = [pool.submit(read, key) for key in batch]
                if coming is not None:
                    yield [future.result() for future in coming]
                coming = next_ones
            if coming is not None:
                yield [future.result() for future in coming]
        finally:
            pool.shutdown(cancel_futures=True)
