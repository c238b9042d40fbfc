"""What DVC's lock files say of a job, against its receipt, its files and params.yaml."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dbot.base.digest import canonical
from dbot.base.errors import UserError
from dbot.params.source import Loader
from dbot.plan import RESULTS, Job, Plan
from dbot.record.check import receipts_at
from dbot.record.stages import LOCK_FILE, stage_name

MEND = "`git checkout` restores the lock file; if the job or params.yaml is what changed, run: dbot record --receipt"


@dataclass(frozen=True)
class Recorded:
    """A stage of a lock file."""

    file: Path
    content: Mapping[str, Any]


class LockFiles:
    """DVC's lock files of a project, as they are now."""

    def __init__(self, plan: Plan) -> None:
        """Read them.

        Raises:
            UserError: one is not what DVC writes.
        """
        self._plan = plan
        self._stages: dict[str, Recorded] = {}
        for path in (Path(LOCK_FILE), *sorted(RESULTS.glob(f"*/{LOCK_FILE}"))):
            if path.exists():
                self._stages |= {name: Recorded(path, content) for name, content in read_stages(path).items()}
        # Which values there are is known by now (`load`); this only has them as they are written, quickly.
        self._params = yaml.load(plan.resolved.file.read_text(encoding="utf-8"), Loader)

    def has(self, job: Job) -> bool:
        return stage_name(job) in self._stages

    def check(self, job: Job, images: bool = True) -> int:
        """Compare a job's stage with what lies there; returns how many files DVC has of it.

        Args:
            job: which.
            images: read the folder of an embedded data set as well.

        Raises:
            UserError: names the first thing that doesn't match.
        """
        name = stage_name(job)
        recorded = self._stages[name]
        problem = next(self._differences(job, recorded.content, images), None)
        if problem is not None:
            raise UserError(f"{recorded.file}: stage {name}: {problem}; {MEND} {job.receipt}")
        return sum(not _is_folder(out) for out in recorded.content["outs"])

    def _differences(self, job: Job, content: Mapping[str, Any], images: bool) -> Iterator[str]:
        try:
            yield from self._of_outs(job, content.get("outs") or [], images)
            yield from self._of_deps(job, content.get("deps") or [])
            yield from self._of_params(job, content.get("params") or {})
            if content.get("cmd") != job.command:
                yield "has another command than the job"
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            yield f"is not what DVC writes ({type(error).__name__} {error})"

    def _of_outs(self, job: Job, outs: list[Mapping[str, Any]], images: bool) -> Iterator[str]:
        files = [job.receipt, *(job.folder / name for name in job.artifacts)]
        listed = {Path(out["path"]): out for out in outs}
        for path in files:
            if path not in listed:
                yield f"lacks {path}"
            elif (digest := md5(path), path.stat().st_size) != (listed[path]["md5"], listed[path]["size"]):
                yield f"has {path} with MD5 {listed[path]['md5']} and {listed[path]['size']} bytes, the file that lies there has {digest}"
        for path, out in listed.items():
            if path in files:
                continue
            if job.verb != "generate" or path.as_posix() != job.settings["root"]:
                yield f"has {path}, which the job doesn't write"
            elif images and (found := folder_of(path)) != (out["md5"], out["size"], out["nfiles"]):
                yield f"has {path} with MD5 {out['md5']}, the folder that lies there has {found[0]} ({found[2]} files, {found[1]} bytes)"

    def _of_deps(self, job: Job, deps: list[Mapping[str, Any]]) -> Iterator[str]:
        listed = {dep["path"]: dep for dep in deps}
        if listed.keys() != {needed.receipt.as_posix() for needed in job.inputs.values()}:
            yield f"depends on {', '.join(sorted(listed)) or 'nothing'}, the job on other receipts"
            return
        for path, dep in listed.items():
            # Two people may have done the same job; `dbot merge` leaves both receipts.
            if (dep["md5"], dep["size"]) not in {(md5(each), each.stat().st_size) for each in receipts_at(Path(path))}:
                yield f"depends on {path} with MD5 {dep['md5']}, the file that lies there has {md5(Path(path))}"

    def _of_params(self, job: Job, params: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        file = os.path.relpath(self._plan.resolved.file)
        now = {key: _value(self._params, key) for key in self._plan.keys(job)}
        was = {key: value for section in params.values() for key, value in section.items()}
        if now and set(params) != {file}:
            yield f"was made with {', '.join(params) or 'no parameters'}, not with {file}"
        for key in [*now, *(key for key in was if key not in now)]:
            if (key in now) != (key in was):
                yield f"{'has' if key in was else 'lacks'} the parameter {key}, which the job {'reads' if key in now else 'does not read'}"
            elif canonical(was[key]) != canonical(now[key]):
                yield f"was made with {key} = {was[key]}, {file} has {now[key]}"


def read_stages(path: Path) -> dict[str, Any]:
    """The stages of a lock file by name.

    Raises:
        UserError: it is not what DVC writes.
    """
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)
        stages = found["stages"] or {}
        if found["schema"] != "2.0" or not all(isinstance(content, dict) for content in stages.values()):
            raise ValueError("not schema 2.0")
    except (yaml.YAMLError, RecursionError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: is not a lock file of DVC ({reason}); `git checkout {path}` restores it") from None
    return dict(stages)


def md5(path: Path) -> str:
    """MD5 of a file's bytes, by which DVC knows it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def folder_of(path: Path) -> tuple[str, int, int]:
    """MD5 of a folder as DVC has it (of the list of its files), bytes and number of its files."""
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listing = [{"md5": md5(file), "relpath": name} for name, file in files]
    digest = hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    return f"{digest}.dir", sum(file.stat().st_size for _, file in files), len(files)


def _is_folder(out: Mapping[str, Any]) -> bool:
    return str(out["md5"]).endswith(".dir")


def _value(data: Any, key: str) -> Any:
    """The value at a dotted key, as DVC finds it: a number counts the entries of a list."""
    for part in key.split("."):
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data
