"""A copy of the project in which a whole demo takes a minute: everything real, only smaller and shorter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT
from tests.processes import PROGRAMS, run_program

TOP = (
    *("params.yaml", "params", "environment.yml", "dvc.yaml", "workflow", "slurm"),
    *(".dvc", ".dvcignore", ".gitignore", ".gitattributes"),
)
SMALL = {
    "build": {"rows": ["B-B", "L-L", "H-H", "H448-H"], "columns": ["cls"], "evidence": [], "sweeps": []},
    "datasets": {"digits": {"embedded": {"train": 80, "validation": 30}}},
    "recipes": {
        "pretrain": {"asymmetric": {"epochs": 3, "batch_size": 16}},
        "finetune": {
            "asymmetric": {"epochs": 3, "batch_size": 8, "warmup_epochs": 1},
            "asymmetric-L": {"epochs": 3},
            "asymmetric-H": {"epochs": 3},
        },
    },
    "execution": {"state_every_seconds": 0.2, "progress_every_seconds": 0.5},
}


class Copy:
    """A project folder that commands are run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Not the variables of this test run's own tracking, nor colours.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "SNAKEMAKE_"))}
        self.env = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT / "src"),
            "NO_COLOR": "1",
        }

    @classmethod
    def made(cls, folder: Path) -> "Copy":
        folder.mkdir(parents=True)
        for name in TOP:
            source = PROJECT / name
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("cache", "tmp"))
            else:
                shutil.copy(source, folder / name, follow_symlinks=False)
        copy = cls(folder)
        copy.change(SMALL)
        for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "a project"]):
            copy.git(*command)
        return copy

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        return self.run("git", *identity, *arguments).stdout

    def change(self, overrides: dict[str, Any]) -> None:
        """Lay more overrides on the demo scale."""
        file = self.folder / "params" / "demo.yaml"
        document = yaml.safe_load(file.read_text())
        lay(document["scales"]["demo"]["overrides"], overrides)
        file.write_text(yaml.safe_dump(document, sort_keys=False))

    def run(self, *command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        if command[0] in PROGRAMS and self.env["PYTHONPATH"] == str(PROJECT / "src"):
            done = run_program(command, self.folder, self.env, seconds=900)
        else:
            done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == status, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command in a process group of its own, so that all of it can be killed."""
        log = (self.folder / "started.log").open("a")
        return subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log, text=True, start_new_session=True)

    @property
    def plan(self) -> Plan:
        return Plan(load(self.folder / "params.yaml", "demo"))


def lay(base: dict[str, Any], over: dict[str, Any]) -> None:
    """Lay keys over others, in place: mappings are merged, everything else is replaced."""
    for key, value in over.items():
        if isinstance(value, dict):
            lay(base.setdefault(key, {}), value)
        else:
            base[key] = value
