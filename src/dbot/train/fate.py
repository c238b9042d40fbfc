"""One fate for processes that work together: where one fails it says why, and all end.

A process whose partner is gone waits in a collective for as long as the collective may take, which no exception
interrupts. So a thread of each process watches for the word of the others in the store by which they have met, and
ends its process at once. What is then under way on a disk is left as a kill would leave it.
"""

import atexit
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from torch import distributed
from torch.distributed import DistStoreError, distributed_c10d
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

T = TypeVar("T")
ENDED = "dbot/ended"
"""Key of the store: the rank that failed first, or `ALL_DONE`."""
ALL_DONE = "all done"
DONE, GONE = "dbot/done", "dbot/gone"
"""Keys of counters: processes that have nothing left to do, and that need the store no longer."""
SAID, ALL_GONE = "dbot/said", "dbot/all-gone"
"""Keys that are there once the process that failed has said why, and once nobody else needs the store."""
MEETING = timedelta(minutes=30)
"""How long processes may be apart in starting."""
A_LOOK = timedelta(days=20)
"""How long the thread waits at a time: about the longest that a socket's milliseconds can count."""
PATIENCE_SECONDS = 10.0
"""How long a process that ends waits for the others to hear of it."""
TEARDOWN_SECONDS = 60
"""After so long the system ends a process that has failed and hangs on its way out."""
ENDED_WITH_ANOTHER = 1
"""Exit status of a process that ends because another one failed."""


@contextmanager
def one_fate(rank: int, world: int) -> Iterator[Store]:
    """Meet the other processes at the address in the environment, and end with them.

    Leaving it in order waits until all do, for days if need be, and destroys the process groups. `SystemExit` counts as
    order: all leave off together. Any other exception ends all the processes; it goes on in the first process that had
    one, and the others say nothing.

    Returns:
        The store by which they have met.
    """
    store = next(rendezvous("env://", rank, world, timeout=MEETING))[0]
    fate = Fate(store, rank, world)
    try:
        yield store
    except SystemExit:
        fate.leave()
        raise
    except BaseException:
        fate.fail()
        raise
    fate.leave()


class Fate:
    """What a process knows of how all of them end."""

    def __init__(self, store: Store, rank: int, world: int) -> None:
        # A connection serves one caller at a time, and the thread's call takes as long as the job.
        self._store, watched = store.clone(), store.clone()
        self._name, self._world = str(rank), world
        # Under torchrun the store outlives the processes; otherwise it ends with the one of rank 0.
        self._hosts = rank == 0
        self._done = False
        self._lost = False
        """Whether the store is gone, and with it the process that kept it."""
        self._end_once = threading.Lock()
        self._watch = threading.Thread(target=self._wait, args=(watched,), name="fate", daemon=True)
        self._watch.start()

    def leave(self) -> None:
        """Wait until all processes are done, and take leave of them."""
        self._done = True
        if self._store.add(DONE, 1) == self._world:
            self._store.compare_set(ENDED, "", ALL_DONE)
        self._watch.join()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        self._sign_off()

    def fail(self) -> None:
        """Tell the others that this process fails. Returns if it is the first: then it is the one to say why."""
        if self._ask(lambda store: store.compare_set(ENDED, "", self._name).decode(), "") != self._name:
            self._end()
        self._watch.join()
        signal.alarm(TEARDOWN_SECONDS)
        atexit.register(self._said)

    def _wait(self, store: Store) -> None:
        """The thread: until all are done, or one has failed."""
        ended = None
        while ended is None:
            try:
                store.wait([ENDED], A_LOOK)
                ended = store.get(ENDED).decode()
            except DistStoreError:
                continue
            except RuntimeError:  # its process was killed, or all were done and it did not wait for this one
                self._lost = True
                ended = ALL_DONE if self._done else ""
        if ended not in (ALL_DONE, self._name):
            self._end()

    def _end(self) -> None:
        """End this process, in silence."""
        self._end_once.acquire()  # for ever
        # The first to fail should be the first to end: torchrun takes its status for that of the job, and ends the others.
        self._until(SAID)
        self._sign_off()
        for helper in multiprocessing.active_children():
            helper.kill()
        os._exit(ENDED_WITH_ANOTHER)

    def _said(self) -> None:
        """At the exit of the process that failed: what it had to say is said."""
        self._ask(lambda store: store.set(SAID, ""), None)
        self._sign_off()
        if distributed.is_initialized():
            # To destroy them would wait for the others. What torch has for this is, so far, not public.
            distributed_c10d._abort_process_group()

    def _sign_off(self) -> None:
        """Need the store no longer; the process that may keep it waits for the others to be as far."""
        if self._ask(lambda store: store.add(GONE, 1), 0) == self._world:
            self._ask(lambda store: store.set(ALL_GONE, ""), None)
        if self._hosts:
            self._until(ALL_GONE)

    def _until(self, key: str) -> None:
        """Wait until a key is there, if not for long."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._ask(lambda store: store.check([key]), True) and time.monotonic() < until:
            time.sleep(0.02)

    def _ask(self, call: Callable[[Store], T], otherwise: T) -> T:
        """What the store says; another answer where it is gone, which torch reports at length on every call."""
        if not self._lost:
            try:
                return call(self._store)
            except RuntimeError:
                self._lost = True
        return otherwise
