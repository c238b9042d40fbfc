"""When a training leaves off before its end: a signal, or the end of its Slurm allocation coming near."""

import os
import signal
import time
from collections.abc import Callable
from enum import IntEnum
from types import FrameType, TracebackType
from typing import Any, Self

from dbot.train.distributed import Processes


class Wish(IntEnum):
    """What a training has been asked for. The larger prevails where processes were asked for different things."""

    GO_ON = 0
    KEEP = 1
    """Write the state, and go on."""
    GO_ON_LATER = 2
    """Leave off; somebody will start the job again."""
    END = 3

    @property
    def leaves_off(self) -> bool:
        """Whether the training ends here, for now or for good."""
        return self > Wish.KEEP


SIGNALS = {signal.SIGUSR1: Wish.GO_ON_LATER, signal.SIGTERM: Wish.END, signal.SIGINT: Wish.END}
STATUS = {Wish.GO_ON_LATER: os.EX_TEMPFAIL, Wish.END: 128 + signal.SIGTERM}
"""Exit statuses of a job that left off with its state written."""
END_OF_ALLOCATION = "SLURM_JOB_END_TIME"
"""Variable with the time at which Slurm will end the job, in seconds since 1970 (`workflow/launch` sets it where Slurm doesn't)."""


class Interrupted(SystemExit):
    """The job was asked to stop, has written its state, and ends with the status that says so.

    torchrun makes a failure with a long report of any status but 0; whoever runs it (`workflow/launch`)
    tells a job that will go on later by its missing receipt.
    """

    def __init__(self, wish: Wish) -> None:
        super().__init__(0 if wish is Wish.GO_ON_LATER and _under_torchrun() else STATUS[wish])


def _under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


class Stop:
    """Turns signals and the end of the allocation into a wish, of which all processes learn after the same step."""

    def __init__(self, processes: Processes, seconds_before: float) -> None:
        """Begin to listen when entered.

        Args:
            processes: this process among all.
            seconds_before: how long before the end of the allocation to leave off.
        """
        self.processes = processes
        end = os.environ.get(END_OF_ALLOCATION, "")
        self.deadline = int(end) - seconds_before if end.isdigit() else None
        self.heard = Wish.GO_ON
        self._asking: Callable[[], int] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # A signal that is ignored stays so: shells start what runs in the background with SIGINT ignored.
        self._before = {number: signal.signal(number, self._hear) for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if error is None and self._asking is not None:
            self._asking()

    def wish(self, keep: bool = False) -> Wish:
        """What is to be done after this step; to be asked by every process after every step.

        Several processes hear of a wish one step late: their answers are exchanged while the next step computes.

        Args:
            keep: this process would have the state written.
        """
        if self.deadline is not None and time.time() > self.deadline:
            self.heard = max(self.heard, Wish.GO_ON_LATER)
        mine = max(self.heard, Wish.KEEP if keep else Wish.GO_ON)
        asked, self._asking = self._asking, self.processes.largest(mine)
        if self.processes.world == 1:
            return mine
        return Wish.GO_ON if asked is None else Wish(asked())

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # Ctrl-C for the second time: at once. (torchrun hands the first on to processes that the terminal has told already.)
        if number == signal.SIGINT and self.heard is Wish.END and not _under_torchrun():
            raise KeyboardInterrupt
        self.heard = max(self.heard, SIGNALS[signal.Signals(number)])
