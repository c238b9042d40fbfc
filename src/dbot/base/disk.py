"""When a disk is full or gone: waiting for it, and what to say when it does not come back."""

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TypeVar

from dbot.base.errors import UserError

T = TypeVar("T")

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or ask for a larger quota",
    errno.EFBIG: "raise the limit on the size of a file",
    errno.EIO: "see to the disk",
    errno.ESTALE: "see to the file system, or mount it again",
    errno.ENOTCONN: "see to the file system, or mount it again",
    errno.EHOSTDOWN: "see to the file system, or mount it again",
    errno.ETIMEDOUT: "see to the file system, or mount it again",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "mend its permissions",
    errno.EPERM: "mend its permissions",
}
"""What a person can do about a disk that refuses, by the system's number of the error."""

MISPLACED = {
    errno.EISDIR: "a folder lies where a file should: move it away",
    errno.ENOTEMPTY: "a folder lies where a file should: move it away",
    errno.ENOTDIR: "a file lies where a folder should: move it away",
    errno.EEXIST: "a file lies where a folder should: move it away",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ELOOP: "its links lead to one another: remove one",
}
"""The same for a path at which something else lies than should. No disk is to blame, and waiting mends none of it."""

LASTING = (errno.EACCES, errno.EPERM)
"""Refusals that waiting does not mend."""

LONGEST_PAUSE = 30.0
"""Seconds between two tries, at most; the first pause is one second, and each is twice the one before."""


class DiskRefused(UserError):
    """A file could not be read or written, for a reason outside this program."""


def named(error: OSError, path: Path) -> OSError:
    """The same error, which now says which file it was about."""
    if error.filename is None:
        error.filename = str(path)
    return error


def refusal(error: OSError) -> DiskRefused:
    """One line of an error that is in `REMEDIES` or `MISPLACED`."""
    what, path = os.strerror(error.errno or 0), error.filename2 or error.filename or "a file"
    return DiskRefused(f"{path}: {what[:1].lower()}{what[1:]}; {(REMEDIES | MISPLACED)[error.errno or 0]}, and run this again")


def concerns_disk(error: BaseException) -> bool:
    """Whether an error is one that a person mends at the disk."""
    return isinstance(error, OSError) and error.errno in REMEDIES


def is_misplaced(error: OSError) -> bool:
    """Whether something else lies at a path than should."""
    return error.errno in MISPLACED


def patiently(action: Callable[[], T], seconds: float, given_up: Event | None = None) -> T:
    """Do something that writes files, again and again while the disk refuses, for so many seconds.

    What was computed stays in memory meanwhile. The action must be one that can be done again.

    Args:
        action: writes files.
        seconds: how long to wait, all in all.
        given_up: another thread sets it when nobody waits any longer; what is being tried then is the last try.

    Raises:
        DiskRefused: the disk still refuses at the end of that time, or waiting would not help.
    """
    waited, pause = 0.0, 1.0
    while True:
        try:
            return action()
        except OSError as error:
            if not concerns_disk(error):
                raise
            if error.errno in LASTING or waited >= seconds or (given_up is not None and given_up.is_set()):
                raise refusal(error) from None
            pause = min(pause, LONGEST_PAUSE, seconds - waited)
            what = os.strerror(error.errno or 0)
            print(f"warning: {error.filename or 'a file'}: {what}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
        if given_up is None:
            time.sleep(pause)
        else:
            given_up.wait(pause)
        waited, pause = waited + pause, 2 * pause
