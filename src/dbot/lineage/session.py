"""The edge of a job: its inputs checked before it starts, its receipt written when it ends."""

import errno
import fcntl
import json
import math
import os
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from dbot.base.digest import data_digest
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage import executions, signature, surroundings
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import Attempt, Execution
from dbot.lineage.receipt import InputReceipt, Receipt
from dbot.plan import Job

STATE = Path("state")
POLL_SECONDS = 0.2
GLANCE_SECONDS = 0.6
"""As long as `dbot status` or `dbot gc` may hold a lock, to see whether a job is at work."""
SAID_EVERY_SECONDS = 600.0
"""How often a job that waits for another says so."""


class Session:
    """A job that is being done.

    On entering, every input's receipt is checked against the plan, the job's state folder is
    locked (a second start of the same job stops there) and its clock goes on from earlier
    attempts. `finish` writes the receipt; leaving without it keeps the state for the next attempt.

    The state folder is keyed by parameters and inputs, so a job never resumes what was begun
    with others.
    """

    def __init__(
        self, job: Job, inputs: dict[str, Path] | None = None, leads: bool = True, receipt: Path | None = None, helpers: int = 0
    ) -> None:
        """Begin a job.

        Args:
            job: which.
            inputs: by role, the receipts to read, which are the planned ones however they are named.
            leads: False for all but one of the processes that do the job together; they write nothing.
            receipt: where its own is to go, which is the planned place.
            helpers: how many processes read data for each of its processes.
        """
        self.job = job
        self.helpers = helpers
        self.leads = leads
        self.paths = inputs if inputs is not None else {role: needed.receipt for role, needed in job.inputs.items()}
        self.receipt = receipt or job.receipt
        self.inputs: dict[str, Receipt] = {}

    def __enter__(self) -> Self:
        if not _is_same(self.receipt, self.job.receipt):
            raise UserError(f"--receipt is {self.receipt}: that of {self.job.name} goes to {self.job.receipt}; name that, or none")
        for role, needed in self.job.inputs.items():
            path = self.paths[role]
            found = receipts.read(path)
            if not _is_same(path, needed.receipt):
                raise UserError(f"{path}: is not the receipt that this job reads, which is {needed.receipt}; run first: {needed.command}")
            if found.verb != needed.verb or found.settings != needed.settings:
                raise UserError(
                    f"{path}: was made with other parameters than params.yaml now has for {needed.name}; run first: {needed.command}"
                )
            self.inputs[role] = found
        self.state = state_folder(self.job, {role: found.id for role, found in self.inputs.items()})
        self.state.mkdir(parents=True, exist_ok=True)
        self._lock = self._locked() if self.leads else None
        if self.leads:
            # Halves of files that a killed attempt left; nobody else writes here while the lock is held.
            for left in (*self.state.glob(".*.part"), *self.job.folder.glob(".*.part")):
                left.unlink()
        self._started = time.monotonic()
        # Now, because a person may edit the code while the job runs.
        self._code, self._commit = surroundings.code_digest(), surroundings.git_commit() if self.leads else (None, None)
        self._attempt = Attempt(
            started=surroundings.now(),
            seconds=0,
            host=surroundings.host(),
            slurm_job=surroundings.slurm_job(),
            hardware=surroundings.hardware(),
        )
        self.name, self._earlier = self._history()
        self.tick()
        if self.leads:
            self._drop_states_of_inputs()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # The clock is not worth an error of its own: what ended the job is said, and what it left is kept.
        with suppress(OSError):
            if self.state.is_dir():
                self.tick()
        if self._lock is not None:
            self._lock.close()

    def _locked(self) -> IO[str]:
        """Hold the state folder, with a line in the lock's file that says who does.

        A second start by hand ends with that line. A Slurm job waits instead: it may be the second attempt at a job whose first
        one outlived the Snakemake, or the network, that it was started by; to fail would spend a retry, and help nobody.
        """
        path, waits, said = self.state / "lock", surroundings.slurm_job() is not None, -math.inf
        began = time.monotonic()
        while True:
            self.state.mkdir(parents=True, exist_ok=True)
            handle = path.open("a+")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists() and os.path.samestat(path.stat(), os.fstat(handle.fileno())):
                    handle.truncate(0)
                    handle.write(self._owner)
                    handle.flush()
                    return handle
            except BlockingIOError:  # and nothing else: a full disk, or one without locks, is no other process to wait for
                handle.seek(0)
                other = handle.read().strip() or "another process"
                held = f"{self.job.name}: is running already: {other} (its state folder {self.state} is locked)"
                waited = time.monotonic() - began
                if not waits and waited > GLANCE_SECONDS:
                    raise UserError(f"{held}; wait for that run or stop it") from None
                if waits and time.monotonic() - said > SAID_EVERY_SECONDS:
                    said = time.monotonic()
                    print(f"{held}; waiting for it to end", flush=True)
            handle.close()
            time.sleep(POLL_SECONDS)

    def check_still_ours(self) -> None:
        """Stop an attempt that was cut off for so long that another one took its place: what that one made must stay.

        Raises:
            UserError: the state folder is gone, or another attempt's.
        """
        if self._lock is None:
            return
        try:
            owner = (self.state / "lock").read_text()
        except FileNotFoundError:
            owner = "finished by then"
        if owner != self._owner:
            raise UserError(
                f"{self.job.name}: another attempt took over while this one was cut off ({owner}); "
                "its results stay, and this one writes nothing"
            )

    @property
    def _owner(self) -> str:
        slurm = f", Slurm job {surroundings.slurm_job()}" if surroundings.slurm_job() else ""
        return f"process {os.getpid()} on {socket.gethostname()}{slurm}"

    def _history(self) -> tuple[str, list[Attempt]]:
        try:
            stored = json.loads((self.state / "execution.json").read_text())
            return stored["name"], [Attempt(**attempt) for attempt in stored["attempts"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return uuid.uuid4().hex, []

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt so far, this one last."""
        seconds = round(time.monotonic() - self._started, 3)
        return [*self._earlier, self._attempt.model_copy(update={"seconds": seconds, **surroundings.used(self.helpers)})]

    def tick(self) -> None:
        """Note the time spent, so that a killed attempt is counted too."""
        if not self.leads:
            return
        job = {"verb": self.job.verb, "key": dict(self.job.key)}
        content = {"name": self.name, **job, "attempts": [attempt.model_dump() for attempt in self.attempts]}
        write_whole(self.state / "execution.json", json.dumps(content).encode())

    def artifact(self, role: str, name: str) -> Path:
        """An input's file, once its bytes are known to be those on its receipt."""
        return receipts.verified(self.paths[role].parent, name, self.inputs[role].artifacts[name])

    def finish(
        self,
        artifacts: list[str],
        results: Mapping[str, float | int | str],
        device: str = "cpu",
        processes: int = 1,
        epochs: Sequence[Mapping[str, float]] = (),
        keep_state: bool = False,
        images_per_second: float | None = None,
    ) -> tuple[Receipt, Execution]:
        """Write receipt and execution over files that lie in the job's folder, and remove the state.

        Args:
            artifacts: the files, whose bytes the parameters and inputs decide.
            results: the job's findings.
            device: kind of device that computed.
            processes: how many processes computed.
            epochs: of a training, how fast each epoch went.
            keep_state: leave the state to whoever comes next: `dbot record`, or a job that starts from this one's result. A
                workflow that was killed before it saw this job end deletes its outputs and runs it again; from its last state
                that takes seconds.
            images_per_second: of a network that was timed.
        """
        self.check_still_ours()
        folder = self.job.folder
        commit, changes = self._commit
        receipt = receipts.make(
            verb=self.job.verb,
            scale=self.job.scale,
            key=dict(self.job.key),
            settings=dict(self.job.settings),
            inputs={role: InputReceipt(path=self.job.inputs[role].receipt.as_posix(), id=found.id) for role, found in self.inputs.items()},
            artifacts={name: receipts.artifact_of(folder / name) for name in artifacts},
            results=dict(results),
            code=self._code,
            environment=surroundings.environment(),
            device=device,
            processes=processes,
        )
        attempts = self.attempts
        execution = executions.make(
            receipt=receipt.id,
            name=self.name,
            ended=surroundings.now(),
            attempts=attempts,
            device_hours=round(sum(a.seconds for a in attempts) * processes / 3600, 6),
            command=["dbot", *sys.argv[1:]],
            commit=commit,
            changes=changes,
            epochs=[dict(epoch) for epoch in epochs],
            images_per_second=images_per_second,
        )
        executions.write(execution, self.job.receipt)
        receipts.write(receipt, self.job.receipt)
        executions.drop_others(self.job.receipt, receipt.id)
        signature.drop_other(self.job.receipt)
        if not keep_state:
            shutil.rmtree(self.state, ignore_errors=True)
        return receipt, execution

    def _drop_states_of_inputs(self) -> None:
        """Remove what the jobs that this one reads could have gone on from: whoever runs jobs in their order has seen them end."""
        for role, needed in self.job.inputs.items():
            drop_state(needed, self.inputs[role])


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths name one place, whether or not anything is there."""
    return os.path.realpath(one) == os.path.realpath(other)


def state_folder(job: Job, inputs: Mapping[str, str]) -> Path:
    """Where the state of a job lies, for the ids of its inputs' receipts by role."""
    key = data_digest({"settings": job.settings, "inputs": dict(inputs)})[:12]
    return STATE / job.scale / f"{job.name}-{key}"


def drop_state(job: Job, receipt: Receipt) -> None:
    """Remove the state of a job that has ended in a receipt, unless somebody works in it."""
    folder = state_folder(job, {role: read.id for role, read in receipt.inputs.items()})
    try:
        with (folder / "lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # it has none, or somebody is at work


def place(source: Path, target: Path) -> None:
    """Move a finished file to its place in one step, also where states lie on another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)
        source.unlink()
