"""What a profile of Snakemake's says of how jobs are submitted and watched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base.errors import UserError
from dbot.params.source import read_yaml, shown

FOLDER = Path("workflow/profiles")
EXECUTORS = ("slurm-dbot", "slurm")
"""Those that submit to Slurm."""


@dataclass(frozen=True)
class Profile:
    """The part of a profile that decides whether a cluster suits it."""

    file: Path = FOLDER / "slurm" / "config.yaml"
    executor: str = "slurm-dbot"
    """Whose name begins the keys of its options."""
    scale: str | None = None
    """What it builds, unless the command line says otherwise."""
    status_command: str | None = "squeue"
    """How Snakemake asks for its jobs: ``squeue`` or ``sacct``; None: the executor chooses."""
    requeue: bool = True
    """Whether jobs are submitted with ``--requeue``."""
    minutes: Mapping[str, int] = field(default_factory=dict)
    """By rule, the time limit that it sets instead of params.yaml."""


def read_profile(name: str) -> Profile:
    """Read a profile of the project by its name.

    Raises:
        UserError: there is none of that name, or it doesn't submit to Slurm.
    """
    file = FOLDER / name / "config.yaml"
    if not file.exists():
        known = ", ".join(sorted(path.parent.name for path in FOLDER.glob("*/config.yaml"))) or f"none; is this the project ({FOLDER})?"
        raise UserError(f"--profile is {name!r}: there is no {file}; profiles are: {known}")
    said = read_yaml(file).data or {}
    executor = said.get("executor")
    if executor not in EXECUTORS:
        raise UserError(f"{file}: executor is {shown(executor)}: this profile submits nothing to Slurm; give --profile slurm")
    config, sets = said.get("config"), said.get("set-resources")
    config = config if isinstance(config, list) else []
    runtimes = {rule: each.get("runtime") for rule, each in sets.items() if isinstance(each, dict)} if isinstance(sets, dict) else {}
    return Profile(
        file,
        executor,
        scale=next((pair.removeprefix("scale=") for pair in config if str(pair).startswith("scale=")), None),
        status_command=said.get(f"{executor}-status-command"),
        requeue=bool(said.get(f"{executor}-requeue")),
        minutes={rule: runtime for rule, runtime in runtimes.items() if isinstance(runtime, int)},
    )
