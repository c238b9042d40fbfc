"""Files and folders that this project writes, whole or not at all and never in place of somebody else's; and locks held on them."""

import errno
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dbot.base.disk import named
from dbot.base.errors import UserError

UMASK = os.umask(0o077)
os.umask(UMASK)  # it can only be read by setting it, which is done here once: a thread could make a file in between
READABLE = 0o666 & ~UMASK
"""Permissions of a new file, as the umask says. Some libraries make theirs for the owner alone."""


def filled_in(path: str) -> str:
    """A path with `~` and `$NAMES` of environment variables filled in; a variable that is not set stays as it is."""
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - Path's own fails for users that don't exist


def as_output(path: Path, is_file: bool = False) -> Path:
    """Where an output goes that a person named, found before the work that it is to hold: behind links, which stay.

    Raises:
        UserError: nothing can be written there.
    """
    import tempfile

    target = path.resolve() if path.is_symlink() else path
    if is_file and target.is_dir():
        raise UserError(f"{path}: is a folder, where a file is to be written; name a file")
    if target.exists() and not target.is_file() and not target.is_dir():
        raise UserError(f"{path}: is a device, a pipe or the like, which an output would replace; name a file")
    folder = next(each for each in (target if target.is_dir() else target.parent, *target.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{path}: can't be written, {folder} takes no file ({error.strerror}); name another place") from None
    return target


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it can't be read, or is a pipe or a device, which may have no end.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:  # noqa: PTH123 - a pipe that nobody writes to must not be waited for
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))
        return stream.read()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut.

    Raises:
        OSError: names the file; what was there before still is.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise named(error, path) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path, marker: str) -> Iterator[Path]:
    """An empty folder to write into, which takes the place of ``target`` when the block ends well.

    It lies beside the target until then; what a killed attempt left there is cleared first.
    A block that fails leaves the target as it was.

    Args:
        target: where the folder shall lie.
        marker: name of the file that says that this project wrote a folder and may replace it.

    Raises:
        UserError: something without the marker lies at the target.
    """
    if target.exists() and not (target / marker).is_file() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(
            f"{target}: exists and was not written by this command (it holds no file {marker}); move it away, or name another folder"
        )
    part, old = (target.with_name(f".{target.name}.{end}") for end in ("part", "old"))
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except Exception:
        shutil.rmtree(part, ignore_errors=True)
        raise
    (part / marker).write_text("Written by dbot, which may replace this folder.\n")
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)


POLL_SECONDS = 0.05


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of ``path``, or raise TimeoutError when others hold it for longer than ``seconds``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"{path} was locked for {seconds:g} s") from None
                time.sleep(POLL_SECONDS)
        yield
