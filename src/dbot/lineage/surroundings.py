"""What a receipt says of the code, the environment and the machine."""

import functools
import hashlib
import os
import platform
import resource
import socket
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

import dbot
from dbot.base import git
from dbot.base.digest import data_digest, file_digest

COMPUTING_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "simplejpeg")
"""Packages whose version may change a result."""
SOURCES = "src/dbot"
"""Where the repository has the package."""
CODE = ("src", "workflow", "params.yaml", "params", "pyproject.toml", "requirements.lock")
"""What of the working tree decides a result."""


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@functools.cache
def code_digest() -> str:
    """SHA-256 over the package's Python sources: their names and bytes."""
    root = Path(dbot.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@functools.cache
def environment() -> dict[str, str]:
    """Versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for name in COMPUTING_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> tuple[str | None, str | None]:
    """Commit of the working tree, and the digest of what differs from it (None: nothing differs, or no git).

    The digest is over the names and contents of the files of `CODE` that were changed, removed or
    added and are not ignored, so no setting of git's plays a part in it.
    """
    commit = git.ask("rev-parse", "HEAD")
    if commit is None:
        return None, None
    changed = git.ask("diff", "--name-only", "--relative", "--no-ext-diff", "-z", "HEAD", "--", *CODE) or ""
    added = git.ask("ls-files", "--others", "--exclude-standard", "-z", "--", *CODE) or ""
    names = sorted({name for name in (*changed.split("\0"), *added.split("\0")) if name})
    found = {name: file_digest(Path(name)) if Path(name).is_file() else None for name in names}
    return commit, data_digest(found) if found else None


def code_of(commit: str) -> str | None:
    """What `code_digest` gave at a commit of this repository; None where that has no sources of the package."""
    listed = git.ask("ls-tree", "-r", "-z", commit, "--", SOURCES)
    blobs = {}
    for entry in (listed or "").split("\0"):
        about, _, name = entry.partition("\t")
        if name.endswith(".py"):
            blobs[PurePosixPath(name).relative_to(SOURCES)] = about.split()[2]
    if not blobs:
        return None
    contents = git.contents(blobs.values())
    digest = hashlib.sha256()
    for path in sorted(blobs):
        digest.update(f"{path.as_posix()}\0".encode())
        digest.update(hashlib.sha256(contents[blobs[path]]).digest())
    return digest.hexdigest()


@functools.cache
def hardware() -> dict[str, str | int]:
    """The machine: system, processor, the cores that this process may use, memory in bytes, NVIDIA's driver where there is one.

    The kind of GPU is a receipt's `device`, and their number that of its processes.
    """
    found: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _named(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
    driver = _named(Path("/proc/driver/nvidia/version"), "NVRM version")
    return found if driver is None else {**found, "driver": driver}


def used(helpers: int = 0) -> dict[str, float]:
    """What this process has used by now, and those that it has waited for.

    ``cpu_seconds``, and ``peak_mb``: its largest resident memory, with that of the largest helper for each of so many (processes that
    read data, say), for all processes of this kind on its node. Pages that several share count for each, so it is rather too much.
    """
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    alike = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    peak = alike * (own.ru_maxrss + helpers * others.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
    return {"cpu_seconds": round(seconds, 3), "peak_mb": round(peak / 1e6, 1)}


def _named(path: Path, name: str) -> str | None:
    """The first value of a name in one of the kernel's files."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return None
    return next((" ".join(line.partition(":")[2].split()) for line in lines if line.startswith(name)), None)


def host() -> str:
    return socket.gethostname()


def slurm_job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")
