"""A real Slurm: the one that is here, or one started for these tests on this machine alone, and stopped afterwards."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbot.record import receipt as receipts
from tests.e2e.project import Copy

HERE = Path(__file__).parent
THERE_IS_ONE = 3
"""Exit status of `cluster up` where Slurm is configured already."""
SITE = "partition: {cpu: work, gpu: work}\n"


class Cluster:
    """Slurm's commands, in a project's folder."""

    def __init__(self, ours: bool) -> None:
        self.ours = ours

    def start(self, copy: Copy, *arguments: str, profile: str = "slurm") -> subprocess.Popen[str]:
        return copy.start(*self._command(profile), *arguments)

    def run(self, copy: Copy, *arguments: str, status: int = 0, profile: str = "slurm") -> str:
        return copy.run(*self._command(profile), *arguments, status=status).stderr

    def _command(self, profile: str) -> list[str]:
        quick = ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "20", "--rerun-triggers", "params", "input"]
        return ["snakemake", "--nocolor", "--profile", profile, "--config", "scale=demo", *quick, "--"]

    def jobs(self, state: str) -> dict[str, str]:
        """Names of the jobs in a state, by number: their comments, as Snakemake's executor sets them."""
        said = subprocess.run(["squeue", "--noheader", "--states", state, "--format", "%i|%k"], capture_output=True, text=True, check=True)
        return dict(line.split("|", 1) for line in said.stdout.splitlines())


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    started = subprocess.run([HERE / "cluster", "up", folder], capture_output=True, text=True, check=False)
    if started.returncode not in (0, THERE_IS_ONE):
        pytest.fail(f"Slurm did not start: {started.stderr}")
    if shutil.which("sbatch") is None:
        pytest.fail("there is a slurm.conf here, but no sbatch")
    try:
        yield Cluster(ours=started.returncode == 0)
    finally:
        if started.returncode == 0:
            subprocess.run([HERE / "cluster", "down", folder], check=True)


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster) -> Callable[..., Copy]:
    """Makes copies of the project, small as in tests/e2e, with this cluster's site.yaml."""

    def make(name: str, **changes: Any) -> Copy:
        copy = Copy.made(tmp_path / name)
        copy.change(changes)
        copy.run("dbot", "stages")
        if cluster.ours:
            (copy.folder / "site.yaml").write_text(SITE)
        return copy

    return make


def ids(copy: Copy, row: str) -> dict[str, str]:
    """By job of a row's cell, the id of its receipt: parameters, inputs, outputs and results, but neither times nor places."""
    return {job.name: receipts.read(copy.folder / job.receipt).id for job in copy.plan.jobs(copy.plan.cells([row]))}
