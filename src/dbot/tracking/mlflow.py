"""MLflow shows the work: a live feed for a job that runs, and a sync that completes what it missed."""

import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dbot.base.errors import UserError
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import Execution, executions_of
from dbot.lineage.history import History, read_history
from dbot.lineage.receipt import Receipt
from dbot.lineage.target import jobs_done
from dbot.plan import METRICS, Job, Plan
from dbot.tracking import address, runs
from dbot.tracking.machine import Machine
from dbot.tracking.store import Store

PATIENCE_SECONDS, PATIENCE_SHARE = 30.0, 0.02
"""What a slow server may cost a job: so many seconds, or this share of its time where that is more."""
REFUSED = re.compile(r"API request to endpoint \S+ failed with error code (\d+) != 200\. Response body: '(.*)'")
"""How MLflow puts what its server says of a wrong password."""


class Feed:
    """Sends a job's metrics to MLflow while it runs.

    Nothing in it raises. At the first failure, or when the server has cost too much time, it warns in
    one line and is silent from then on: the metrics are in the job's own file, and `dbot sync` sends
    what is missing. A job that was
    killed and started again has the same execution name and so goes on in the same run.
    """

    def __init__(self, job: Job, execution: str, enabled: bool, after: float = 0) -> None:
        """Open the run of an execution.

        Args:
            job: the job that runs.
            execution: its name, as in its receipt.
            enabled: False does nothing at all, as on every process but the first.
            after: seconds from now on in which nothing is sent, nor MLflow loaded. What a shorter job leaves is sent by `dbot sync`.
        """
        self.job = job
        self._execution = execution
        self._live = enabled
        self._open: _OpenRun | None = None
        self._began, self._after = time.monotonic(), after
        self.show()

    def show(self) -> None:
        """Open the run, if that was not done and it is time."""
        if (run := self._open) is not None:
            self._attempt(run.machine.look)
        elif time.monotonic() - self._began >= self._after:
            self._attempt(self._opened)

    def log(self, history: History) -> None:
        """Send what a history, whole so far, has that was not sent yet."""
        self.show()
        if (run := self._open) is not None:
            self._attempt(lambda: run.send(history))

    def complete(self, receipt: Receipt, execution: Execution, history: History = ()) -> None:
        """Send what the run of a finished job still lacks, and finish it."""
        self.show()
        if (run := self._open) is not None:
            self._attempt(lambda: run.store.complete(runs.finished(self.job, receipt, execution, history)))

    def _opened(self) -> None:
        content = runs.begun(self.job, self._execution)
        store = Store(self._allowed)
        store.complete(content)
        identity = store.open(content)
        self._open = _OpenRun(store, identity, store.sent(identity), Machine())

    def _allowed(self) -> float:
        """Seconds that a slow server may have cost this job by now."""
        return max(PATIENCE_SECONDS, PATIENCE_SHARE * (time.monotonic() - self._began))

    def _attempt(self, action: Callable[[], object]) -> None:
        if not self._live:
            return
        # MLflow's retries draw from Python's global generator, as do augmentations: a server that
        # stumbles must not change what is trained.
        drawn = random.getstate()
        try:
            action()
        except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
            self._live = False
            print(
                f"MLflow at {address.shown_uri()} does not answer ({short(error)}): training goes on; `dbot sync` completes it later",
                file=sys.stderr,
                flush=True,
            )
        finally:
            random.setstate(drawn)


@dataclass
class _OpenRun:
    """A run that a job feeds."""

    store: Store
    identity: str
    sent: dict[tuple[str, int], float]
    """Values that it has, by name and epoch."""
    machine: Machine

    def send(self, history: History) -> None:
        """Send what it has not, and how busy the machine was."""
        unsent = [point for point in runs.points(history) if (point[0], point[2]) not in self.sent]
        busy = self.machine.points(unsent[-1][2]) if unsent else []
        self.store.log(self.identity, [*unsent, *busy], runs.now())
        self.sent.update({(name, epoch): value for name, value, epoch in unsent})


@dataclass(frozen=True)
class Synced:
    """What a sync did."""

    executions: int
    completed: int
    """Runs that lacked something."""


def sync(plan: Plan) -> Synced:
    """Complete the run of every execution of a scale; done twice, the second time does nothing.

    Raises:
        UserError: MLflow can't be reached, or a receipt can't be read.
    """
    contents = [content for job in jobs_done(plan) for content in _contents(job)]
    if not contents:
        return Synced(0, 0)
    try:
        store = Store()
        completed = sum(store.complete(content) for content in contents)
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        raise unanswered("MLflow", error) from None
    return Synced(len(contents), completed)


def unanswered(what: str, error: Exception) -> Exception:
    """What a verb says that MLflow fails; trouble with a file of this project stays what it is."""
    if isinstance(error, OSError) and error.filename is not None:
        return error
    if address.is_file():
        return UserError(
            f"{what}: {address.shown_uri()} can't be used ({short(error)}); "
            "if it stays so, move that file away: `dbot sync` writes all of it anew from the receipts"
        )
    return UserError(
        f"{what} at {address.shown_uri()} does not answer ({short(error)}); "
        "start it, or unset or mend MLFLOW_TRACKING_URI, and run `dbot sync` again"
    )


@dataclass
class Checked:
    """What a comparison with MLflow found."""

    same: int = 0
    """Runs with the values, parameters and tags of their receipts; or aliases that lead to the best model by the receipts."""
    notes: list[str] = field(default_factory=list)
    """What could not be compared, and why."""


def check_runs(jobs: Sequence[Job]) -> Checked:
    """Compare the runs of some jobs, each of which has a receipt, with what the jobs left.

    Raises:
        UserError: names the first run that says something else.
    """
    if not address.is_there():
        return Checked(notes=[f"MLflow: not checked, there is no {address.DEFAULT_FILE} here"])
    contents = [(job, content) for job in jobs for content in _contents(job)]
    found, incomplete = Checked(), 0
    try:
        store = Store()
        for job, content in contents:
            try:
                different = store.disagreement(content)
            except LookupError:
                incomplete += 1
                continue
            if different is not None:
                raise UserError(
                    f"MLflow at {address.shown_uri()}: the run of {job.name} ({content.execution}) {different}; "
                    "delete that run and `dbot sync` sends it anew"
                )
            found.same += 1
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        found.notes.append(f"MLflow: not checked to the end, {address.shown_uri()} does not answer ({short(error)})")
    if incomplete:
        found.notes.append(f"MLflow: {incomplete} of {len(contents)} executions are not there, or not whole; `dbot sync` completes them")
    return found


def _contents(job: Job) -> list[runs.Content]:
    """What the runs of a job's executions hold."""
    receipt = receipts.read(job.receipt)
    history = read_history(job.folder / METRICS) if METRICS in receipt.artifacts else ()
    return [runs.finished(job, receipt, execution, history) for execution in executions_of(job.receipt, receipt.id)]


def short(error: BaseException) -> str:
    """The root of an error in one line: MLflow wraps it in pages, which also repeat the address with its password."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    line = REFUSED.sub(r"\1: \2", address.without_secrets((str(error).strip() or type(error).__name__).splitlines()[0]))
    return line if len(line) <= 120 else f"{line[:117]}..."
