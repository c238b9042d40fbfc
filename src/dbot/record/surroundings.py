"""What a receipt says of the code, the environment and the machine."""

import functools
import hashlib
import os
import platform
import socket
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dbot

COMPUTING_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow")
"""Packages whose version may change a result."""


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
    """Commit of the working tree, and the digest of what differs from it (None: nothing differs, or no git)."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None, None
    changes = _git("diff", "HEAD", "--", "src", "workflow", "params.yaml") or ""
    return commit, hashlib.sha256(changes.encode()).hexdigest() if changes else None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def host() -> str:
    return socket.gethostname()


def slurm_job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")
