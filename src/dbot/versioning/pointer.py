"""`.dvc` files: each names, by MD5, the file or folder beside it that DVC keeps and git ignores."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbot.base.errors import UserError
from dbot.params.source import Loader
from dbot.plan import Job

SUFFIX = ".dvc"
LARGE = (".safetensors", ".tsv")
"""How files end that may be large: git ignores them, DVC keeps them."""


@dataclass(frozen=True)
class Pointer:
    """What a `.dvc` file says."""

    md5: str
    """Of the bytes; of a folder, of the list of its files, and then it ends in ``.dir``."""
    size: int
    """Bytes."""

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(".dir")


def kept_by(job: Job) -> list[Path]:
    """What DVC keeps of a job: its large files, and the folder of an embedded data set that it drew."""
    files = [job.folder / name for name in job.artifacts if name.endswith(LARGE)]
    folder = job.kind.fills(job)
    return files if folder is None or not _is_below(folder) else [*files, folder]


def pointer_path(path: Path) -> Path:
    """Where the `.dvc` file of a file or folder lies: beside it."""
    return path.with_name(path.name + SUFFIX)


def refuse_links(folder: Path) -> None:
    """Find out before any work that what will be written to a folder of results can't be kept.

    Raises:
        UserError: the folder, or one above it, is a link that leads out of the project.
    """
    if not _is_below(folder):
        link = next(each for each in (folder, *folder.parents) if each.is_symlink())
        leads = link.resolve()
        raise UserError(
            f"{link}: is a link to {leads}, and DVC keeps nothing outside of the project: put the whole project there, or remove the "
            f"link, make the folder and `mount --bind {leads} {link}`"
        )


def read_pointer(path: Path) -> Pointer | None:
    """What the `.dvc` file beside a file or folder says; None where there is none.

    Raises:
        UserError: it is not what DVC writes, or speaks of something else.
    """
    lies = pointer_path(path)
    try:
        found = yaml.load(lies.read_text(encoding="utf-8"), Loader)
        (out,) = found["outs"]
        if out["path"] != path.name or out.get("hash", "md5") != "md5":
            raise ValueError(f"it names {out['path']}")
        return Pointer(_hex(out["md5"]), int(out["size"]))
    except FileNotFoundError:
        return None
    except (OSError, yaml.YAMLError, RecursionError, LookupError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{lies}: is not what DVC writes ({reason}); `git checkout {lies}` restores it, or delete it and run `dbot record`"
        ) from None


def is_kept(path: Path) -> bool:
    """Whether the `.dvc` file beside a file or folder is of what lies there, or of what DVC would bring where nothing does."""
    found = read_pointer(path)
    if found is None:
        return False
    if not path.exists():
        return True
    if not found.is_folder and found.size != path.stat().st_size:
        return False
    if _is_younger(pointer_path(path), path):
        return True
    if found != look(path):
        return False
    pointer_path(path).touch()  # so that nobody need read the file again
    return True


def check_kept(job: Job, folders: bool = True) -> int:
    """Compare the `.dvc` files of a job with what lies there; returns how many files DVC has of it.

    Args:
        job: which.
        folders: read the folder of an embedded data set as well.

    Raises:
        UserError: names the first thing that doesn't match.
    """
    count = 0
    for path in kept_by(job):
        found = read_pointer(path)
        if found is None:
            continue
        if not found.is_folder:
            count += 1
        elif not folders:
            continue
        if path.exists() and (lies := look(path)) != found:
            raise UserError(
                f"{pointer_path(path)}: names {found.md5} of {found.size} bytes, but {path} has {lies.md5} of {lies.size}; "
                f"`git checkout` restores the first, `dvc checkout` the second; if its job ran anew: dbot record --receipt {job.receipt}"
            )
    return count


def look(path: Path) -> Pointer:
    """What DVC would say of a file, or of a folder: then of the list of its files."""
    if not path.is_dir():
        return Pointer(md5(path), path.stat().st_size)
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listing = [{"md5": md5(file), "relpath": name} for name, file in files]
    digest = hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    return Pointer(f"{digest}.dir", sum(file.stat().st_size for _, file in files))


def md5(path: Path) -> str:
    """MD5 of a file's bytes, by which DVC knows it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _is_younger(one: Path, other: Path) -> bool:
    return one.stat().st_mtime_ns >= other.stat().st_mtime_ns


def _is_below(path: Path) -> bool:
    """Whether a folder is one of the project's: DVC keeps no others."""
    return path.resolve().is_relative_to(Path().resolve())


def _hex(text: Any) -> str:
    digest = str(text)
    if len(digest.removesuffix(".dir")) != 32 or set(digest.removesuffix(".dir")) - set("0123456789abcdef"):
        raise ValueError(f"{digest} is no MD5")
    return digest
