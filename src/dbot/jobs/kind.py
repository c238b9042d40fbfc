"""What a kind of job declares, and what it is given while it works. Read this before you add one; docs/extending.md says how.

A kind is a `Preparation` (one process, no device), a `Training` or a `Measurement` (on a prepared data set, one process a device).
"""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from dbot.jobs.work import Estimate, Work
from dbot.params.datasets import Layout
from dbot.params.document import Params
from dbot.params.source import KeyPath

if TYPE_CHECKING:
    from torch import Tensor, nn

    from dbot.data.manifest import Manifest
    from dbot.distill.boundary import Promoted
    from dbot.train.distributed import Processes
    from dbot.train.loop import Outcome
    from dbot.train.task import Metrics, Task
import importlib
import pkgutil
from functools import cache

from dbot import jobs

RESULTS = Path("results")
LOGS = Path("logs")
RECEIPT = "receipt.json"
METRICS = "metrics.csv"
"""The history of a training, which its job leaves beside its receipt."""
MEASURED = "metrics.json"
"""What a measurement found."""
MODEL = "model.safetensors"
"""The checkpoint of a job that leaves one only."""


@dataclass(frozen=True)
class Key:
    """What tells jobs of a kind apart: a wildcard of its rule, and a flag of its command line."""

    name: str
    help: str
    number: bool = False
    choices: tuple[str, ...] | None = None
    metavar: str | None = None
    """What the help calls its value; None: the name in capitals."""


@dataclass(frozen=True)
class Input:
    """A job whose receipt is read, by the role that it plays: a flag of the command line."""

    role: str
    help: str


ROW = Key("row", "row of the table")
DATA = Input("data", "receipt of the prepared data (default: the planned one)")


@dataclass(frozen=True)
class Model:
    """The model that a job makes."""

    file: str
    """Its checkpoint, among the job's artifacts."""
    type: str
    """student, classifier, detector or segmenter; released for weights from elsewhere."""
    description: str
    """In words, without the scale."""


def name_of(verb: str, key: Mapping[str, str]) -> str:
    """``distill/B-B/stage1``: what a job is called, by its kind and its key."""
    return "/".join((verb, *(f"{k}{v}" if k in ("stage", "seed") else v for k, v in key.items())))


@dataclass(frozen=True)
class Job:
    """One execution of a rule: which, on what, with which parameters."""

    kind: "Kind"
    scale: str
    key: Mapping[str, str]
    """What tells it from the kind's other jobs: the wildcards of the rule."""
    inputs: Mapping[str, "Job"]
    """By role, the jobs whose receipts it reads."""
    settings: Mapping[str, Any]
    """The parameters that it uses, and no others."""
    sources: tuple[KeyPath, ...]
    """The sections of the resolved parameters that `settings` was taken from."""
    artifacts: tuple[str, ...]
    """Files that it writes beside its receipt."""
    architecture: str = "any"
    """Whose resources it asks for."""

    @property
    def verb(self) -> str:
        """The name of its kind: that of the rule, and the verb of the command line."""
        return self.kind.name

    @property
    def name(self) -> str:
        """``distill/B-B/stage1``: unique within a scale."""
        return name_of(self.verb, self.key)

    @property
    def folder(self) -> Path:
        """Where its receipt and artifacts lie."""
        return RESULTS / self.scale / self.name

    @property
    def receipt(self) -> Path:
        return self.folder / RECEIPT

    @property
    def log(self) -> Path:
        """What it says while a rule runs it."""
        return LOGS / self.scale / f"{self.name}.log"

    @property
    def arguments(self) -> list[str]:
        """Its command line after ``dbot``, as the rule has it."""
        keys = [part for k, v in self.key.items() for part in (f"--{k}", v)]
        inputs = [part for role, job in self.inputs.items() for part in (f"--{role}", str(job.receipt))]
        return [self.verb, "--scale", self.scale, *keys, *inputs, "--receipt", str(self.receipt)]

    @property
    def command(self) -> str:
        """Its command line, to be pasted into a terminal."""
        return shlex.join(["dbot", *self.arguments])

    def reads(self, role: str) -> list[Path]:
        """The files beside an input's receipt that it reads."""
        return [self.inputs[role].folder / name for name in self.kind.reads(self, role)]

    def ancestors(self) -> Iterator["Job"]:
        """Every job that it depends on, each once, the nearest first."""
        seen: set[str] = set()
        queue = list(self.inputs.values())
        while queue:
            job = queue.pop(0)
            if job.name not in seen:
                seen.add(job.name)
                yield job
                queue.extend(job.inputs.values())


class Context(Protocol):
    """What a job is given while it works: its parameters, its inputs, and where its findings go."""

    @property
    def params(self) -> Params: ...

    @property
    def job(self) -> Job: ...

    @property
    def threads(self) -> int:
        """CPU cores that it may use."""

    @property
    def artifacts(self) -> list[str]:
        """Names of the files that it has left in its folder; whoever writes one there adds it."""

    def result(self, role: str, name: str) -> float | int | str:
        """What an input's receipt says that it found."""

    def save(self, name: str, weights: "dict[str, Tensor]", about: dict[str, Any]) -> None:
        """Write a checkpoint among the artifacts; of several processes the leading one does."""

    def finish(self, results: Mapping[str, float | int | str]) -> None:
        """Write the receipt; of several processes the leading one does."""


class Beginning(Protocol):
    """What a training begins with: the job's own inputs, or drawn images and random weights to measure its speed with."""

    @property
    def params(self) -> Params: ...

    @property
    def job(self) -> Job: ...

    @property
    def processes(self) -> "Processes": ...

    @property
    def manifest(self) -> "Manifest":
        """Of the input `data`."""

    @property
    def batch_per_process(self) -> int: ...

    def checkpoint(self, role: str, file: str | None = None) -> "Checkpoint | None":
        """A checkpoint among an input's artifacts.

        Args:
            role: of the input.
            file: which artifact (default: what others start from).

        Returns:
            None where the job has no such input, or only its speed is measured.
        """

    def student(self, role: str) -> "Promoted":
        """The student among the job's inputs, as it is taken for a teacher."""


class Running(Context, Beginning, Protocol):
    """What a training or a measurement is given while it works; each of its processes has one."""

    images_per_second: float | None
    """How fast a network was found to be on this device: a circumstance, which the execution says. None: it wasn't timed."""

    def train(self, task: "Task") -> "Outcome":
        """Run the loop, from where an earlier attempt stopped."""

    def save_metrics(self, metrics: "Metrics") -> None:
        """Write what was measured among the artifacts; the leading process does."""


class Checkpoint(NamedTuple):
    """Weights that a job reads."""

    weights: "dict[str, Tensor]"
    about: dict[str, Any]
    """What stands beside them in the file."""
    source: str
    """What messages call them."""


@dataclass(frozen=True)
class Begun:
    """A training that can begin."""

    task: "Task"
    model: "nn.Module"
    """What is saved at its end."""
    about: dict[str, Any]
    """What its checkpoint says of it."""
    results: Mapping[str, float | int | str] = field(default_factory=dict)
    """What its receipt says of where it began."""
    picture: Callable[[], bytes] | None = None
    """Draws what the method does, once the model is trained."""


class Kind(ABC):
    """A kind of job. Its docstring is what `dbot <name> --help` says first."""

    name: ClassVar[str]
    """Of its rule, its verb, and the folder of its results."""
    title: ClassVar[str]
    """What `dbot --help` says of it."""
    order: ClassVar[int]
    """Its place where kinds are listed, after those whose jobs it reads."""
    key: ClassVar[tuple[Key, ...]]
    inputs: ClassVar[tuple[Input, ...]] = ()
    """In the order of its command line; a job may lack some."""
    trains: ClassVar[bool] = False
    """Whether it keeps a state, so that a killed job goes on from there."""
    measures: ClassVar[bool] = False
    """Whether it reads a data set without training on it."""
    batch_decides: ClassVar[bool] = False
    """Whether how many images share a forward pass decides what is computed, since norms count over them."""
    is_data: ClassVar[bool] = False
    """Whether a data set is what it makes."""
    kept: ClassVar[bool] = False
    """Whether DVC gets its files as soon as a job has ended: they are large, or took long."""
    start: ClassVar[str | None] = None
    """The checkpoint that other jobs start from. None: none does."""
    exported: ClassVar[str | None] = None
    """The checkpoint that `dbot export` takes for its receipt. None: no network that timm could load."""
    pictures: ClassVar[tuple[str, ...]] = ()
    """Files for people's eyes that its jobs leave beside their artifacts. A receipt names them, and one that doesn't holds as well:
    no training is done again for a picture."""

    @abstractmethod
    def declare(self, *args: Any, **kwargs: Any) -> Job:
        """One of its jobs, from the experiment and the values of the key in their order.

        Raises:
            UserError: there is no such job.
        """

    @abstractmethod
    def work(self, estimate: Estimate, job: Job) -> Work:
        """What one of its jobs has to do."""

    def model(self, job: Job, params: Params) -> Model | None:
        """The model that one of its jobs makes. None: it makes none."""
        return None

    def reads(self, job: Job, role: str) -> tuple[str, ...]:
        """The artifacts of an input that one of its jobs reads: by default what others start from or, where there is no such, all."""
        needed = job.inputs[role]
        return (needed.kind.start,) if needed.kind.start is not None else tuple(name for name in needed.artifacts if name != METRICS)

    def fills(self, job: Job) -> Path | None:
        """A folder beside its own that one of its jobs fills. None: there is none."""
        return None

    def data_files(self, job: Job) -> tuple[Path, list[tuple[str, str]]] | None:
        """Of a job that is done and speaks of a data set: its root, and path and SHA-256 of every file of it. None: it speaks of none."""
        return None

    @property
    def description(self) -> str:
        return type(self).__doc__ or ""

    def __repr__(self) -> str:
        return self.name


class Preparation(Kind):
    """One process, without a device: data and weights are made ready."""

    @abstractmethod
    def run(self, context: Context) -> None:
        """Do a job."""


class Training(Kind):
    """Trains a network on a prepared data set."""

    trains = True
    kept = True
    layout: ClassVar[Layout] = "imagefolder"
    """Of the images that its speed is measured on."""

    @abstractmethod
    def build(self, given: Beginning) -> Begun:
        """How a job begins: for the training itself, for `dbot replay`, and for `dbot calibrate`."""

    @abstractmethod
    def run(self, context: Running) -> None:
        """Do a job."""


class Measurement(Kind):
    """Measures a network on a prepared data set."""

    measures = True

    @abstractmethod
    def run(self, context: Running) -> None:
        """Do a job."""


@cache
def kinds() -> Mapping[str, Kind]:
    """By name, every kind of job, in the order in which they are listed."""
    modules = [importlib.import_module(f"{jobs.__name__}.{found.name}") for found in pkgutil.iter_modules(jobs.__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Kind)]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (kind.order, kind.name))}
