"""What is peculiar to the place where jobs run: `site.yaml`, which each user writes for himself and git ignores.

None of it changes a result, so none of it is in params.yaml or on a receipt.
"""

from pathlib import Path

from pydantic import Field

from dbot.params.load import validated
from dbot.params.section import Section
from dbot.params.source import Tree, read_yaml

FILE = Path("site.yaml")


class Partition(Section):
    """Slurm's partitions."""

    cpu: str | None = None
    """For jobs without GPUs; null: the cluster's default."""
    gpu: str | None = None
    """For jobs with GPUs; null: the cluster's default."""


class Site(Section):
    """One cluster or workstation, as one user sees it."""

    account: str | None = None
    """Slurm account that pays."""
    partition: Partition = Partition()
    """Which queue jobs wait in."""
    qos: str | None = None
    """Slurm quality of service."""
    constraint: str | None = None
    """Features that nodes must have."""
    gpu_model: str | None = None
    """Type of GPU, as the cluster names it: `h100`."""
    extra: str | None = None
    """Further options of sbatch, as on its command line."""
    setup: list[str] = Field(default_factory=list)
    """Shell lines that every job begins with: `module load cuda/12.8`."""
    container: str | None = None
    """Image that jobs run in, when Snakemake is started with `--software-deployment-method apptainer`."""
    scratch: str | None = None
    """Folder on a disk of the node itself; `$NAMES` of environment variables are filled in. Prepared data are copied there once."""

    def requests(self, gpus: bool) -> dict[str, str]:
        """What Snakemake's Slurm executor is asked for, by its own names, by a job with or without GPUs."""
        found = {
            "slurm_account": self.account,
            "slurm_partition": self.partition.gpu if gpus else self.partition.cpu,
            "qos": self.qos,
            "constraint": self.constraint,
            "gpu_model": self.gpu_model if gpus else None,
            "slurm_extra": self.extra,
        }
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
