"""DVC's lock file, kept from being torn: DVC rewrites it in place, and whatever cuts it off then leaves half a file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbot.base.files import write_whole
from dbot.record.execution import STATE

BEFORE = STATE / "dvc.lock.before"
"""What the lock files held before the commit that is under way; there only while one is."""
READERS = Path(".dvc/tmp/rwlock")
"""Where DVC notes which of its processes use which path; it rewrites this in place as well."""


@contextmanager
def untorn(files: list[Path]) -> Iterator[None]:
    """Around a commit: if it fails, or was cut off the last time, the lock files are as they were before it.

    The caller holds the lock that keeps other commits away.
    """
    if BEFORE.exists():
        print("an earlier `dbot record` was cut off; DVC's lock file is set back to what it was before", flush=True)
        _set_back()
        _drop_torn_readers()
    write_whole(BEFORE, json.dumps({path.as_posix(): path.read_text() if path.exists() else None for path in files}).encode())
    try:
        yield
    except BaseException:
        _set_back()
        raise
    BEFORE.unlink()


def _set_back() -> None:
    for name, text in json.loads(BEFORE.read_text()).items():
        if text is None:
            Path(name).unlink(missing_ok=True)
        elif not Path(name).exists() or Path(name).read_text() != text:
            write_whole(Path(name), text.encode())
    BEFORE.unlink()


def _drop_torn_readers() -> None:
    """Remove DVC's notes on its readers where they were cut short; whole ones name dead processes, which DVC sees itself."""
    try:
        json.loads(READERS.read_text())
    except ValueError:
        READERS.unlink()
    except FileNotFoundError:
        return
