"""What is peculiar to the place where jobs run: `site.yaml`, which each user writes for himself and git ignores.

None of it changes a result, so none of it is in params.yaml or on a receipt.
"""

import re
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from dbot.params.load import validated
from dbot.params.scales import Resources
from dbot.params.section import FilledPath, Section
from dbot.params.source import Tree, read_yaml

FILE = Path("site.yaml")
T = TypeVar("T")


class ByKind(Section, Generic[T]):
    """A value for jobs without GPUs and one for jobs with them."""

    cpu: T | None = None
    """For jobs without GPUs; null: the cluster's default."""
    gpu: T | None = None
    """For jobs with GPUs; null: the cluster's default."""


def _both(value: object) -> object:
    """A bare value is for jobs of both kinds."""
    return value if isinstance(value, dict | ByKind) else {"cpu": value, "gpu": value}


Text = Annotated[ByKind[str], BeforeValidator(_both, json_schema_input_type=str | None | ByKind[str])]
Switch = Annotated[ByKind[bool], BeforeValidator(_both, json_schema_input_type=bool | None | ByKind[bool])]


class Site(Section):
    """One cluster or workstation, as one user sees it. Where a key says *by kind*, `{cpu: …, gpu: …}` tells jobs without GPUs
    from jobs with them, and a bare value is for both."""

    account: Text = ByKind[str]()
    """Slurm account that pays, by kind."""
    partition: Text = ByKind[str]()
    """Partition (queue) that jobs wait in, by kind; null: the cluster's default."""
    qos: Text = ByKind[str]()
    """Slurm quality of service, by kind."""
    constraint: Text = ByKind[str]()
    """Features that nodes must have, by kind."""
    reservation: Text = ByKind[str]()
    """Reservation that jobs run in, by kind."""
    exclusive: Switch = ByKind[bool]()
    """Whole nodes, shared with nobody, by kind."""
    extra: Text = ByKind[str]()
    """Further options of sbatch, as on its command line, by kind."""
    gpu_request: Literal["gpus", "gres", "gpus-per-node"] = "gpus"
    """The option by which sbatch is asked for GPUs: `--gpus` (on several nodes with `--gres` beside it), `--gres` alone, or
    `--gpus-per-node`. Sites differ in what they accept."""
    gpu_model: str | None = None
    """Type of GPU, as the cluster names it (`dbot cluster` lists the names): `h100`."""
    memory: bool = True
    """Ask for memory (`--mem`). False where the site gives it by cores or GPUs and refuses the option."""
    setup: list[str] = Field(default_factory=list)
    """Shell lines that every job begins with: `module load cuda/12.8`. One that fails ends the job."""
    container: FilledPath | None = None
    """Image that jobs run in, when Snakemake is started with `--software-deployment-method apptainer`."""
    scratch: str | None = None
    """Folder on a disk of the node itself; `~` and `$NAMES` of environment variables are filled in. Prepared data are copied there once."""

    @field_validator("gpu_model")
    @classmethod
    def _can_be_asked_for(cls, model: str | None, info: ValidationInfo) -> str | None:
        """What the executor's own check, or Slurm's grammar, would refuse only when the first GPU job is submitted."""
        if model is not None and not re.fullmatch(r"[\w.-]+", model, re.ASCII):
            raise PydanticCustomError("gpu_model", "must be the bare name of the type, without colons: NAME of gpu:NAME:8")
        if model is not None and "-" in model and info.data.get("gpu_request") != "gpus-per-node":
            raise PydanticCustomError(
                "gpu_model",
                "Snakemake's executor takes no hyphens in --gpus and --gres; set gpu_request: gpus-per-node, "
                "or leave it out and ask for the type by constraint",
            )
        return model

    def requests(self, wanted: Resources) -> dict[str, str | int]:
        """What Snakemake's Slurm executor is asked for on behalf of a job, by the executor's own names of resources.

        Args:
            wanted: what the job asks of a machine; its nodes and GPUs are given.

        On several nodes the job starts its own processes on each (`workflow/launch`): one task a node, with the node's GPUs.
        The executor would make `--ntasks-per-gpu` of `tasks` otherwise, and `--gpus` alone lets Slurm spread them unevenly.
        """
        nodes, gpus = wanted.nodes or 1, wanted.gpus or 0
        kind: Literal["cpu", "gpu"] = "gpu" if gpus else "cpu"
        typed = f"{self.gpu_model}:{gpus}" if self.gpu_model else str(gpus)
        extra = [
            f"--gpus-per-node={typed}" if gpus and self.gpu_request == "gpus-per-node" else None,
            f"--reservation={name}" if (name := getattr(self.reservation, kind)) else None,
            "--exclusive" if getattr(self.exclusive, kind) else None,
            getattr(self.extra, kind),
        ]
        found: dict[str, str | int | None] = {
            "slurm_account": getattr(self.account, kind),
            "slurm_partition": getattr(self.partition, kind),
            "qos": getattr(self.qos, kind),
            "constraint": getattr(self.constraint, kind),
            "slurm_extra": " ".join(option for option in extra if option) or None,
        }
        if not self.memory:
            found["mem_mb"] = 0
        if gpus and self.gpu_request == "gpus":
            found |= {"gpu": nodes * gpus, "gpu_model": self.gpu_model}
        if gpus and (self.gpu_request == "gres" or (self.gpu_request == "gpus" and nodes > 1)):
            found["gres"] = f"gpu:{typed}"
        if nodes > 1:
            found |= {"tasks": nodes, "mpi": "srun", "tasks_per_gpu": 0}
        return {name: value for name, value in found.items() if value is not None}


def load_site(file: Path = FILE) -> Site:
    """Read a site's file; without one, nothing is peculiar.

    Raises:
        UserError: one line for each thing that is wrong in it.
    """
    if not file.exists():
        return Site()
    tree = read_yaml(file)
    return validated(Site, Tree({}, {}) if tree.data is None else tree, file)
