"""A real Slurm: the one that is here, or one started for these tests on this machine alone, and ended afterwards (`cluster` says how)."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dbot.lineage import receipt as receipts
from tests.e2e.project import Copy

SCRIPT = Path(__file__).parent / "cluster"
THERE_IS_ONE = 3
"""Exit status of `cluster up` where Slurm is configured already."""
SITE = "partition: {cpu: work, gpu: work}\n"
QUICK = ("--slurm-dbot-init-seconds-before-status-checks", "2", "--latency-wait", "20")
"""Jobs of tests are short; the profile's patience is for long ones."""


STAGE = "results/demo/distill/B-B/stage1/receipt.json"
LONG = {"recipes": {"pretrain": {"asymmetric": {"epochs": 120}}}}
"""A stage that takes longer than the shortest time limits."""


class Cluster:
    """A Slurm, and whoever speaks with it: commands are run where it is seen."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        """State of the one that was started for the tests; None: the one that was here."""

    @property
    def ours(self) -> bool:
        return self.folder is not None

    def command(self, *words: str) -> list[str]:
        """A command line that does the same where the cluster is seen."""
        return [str(SCRIPT), "in", str(self.folder), *words] if self.folder else list(words)

    def said(self, *words: str) -> str:
        """What one of Slurm's commands says."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=True).stdout

    def copy(self, folder: Path) -> Copy:
        """A copy of the project whose commands are run where the cluster is seen: all with the same C library."""
        command = self.command

        class Here(Copy):
            def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
                return super().run(*command(*words), status=status)

            def start(self, *words: str) -> subprocess.Popen[str]:
                return super().start(*command(*words))

        return Here.made(folder)

    def start(self, copy: Copy, *targets: str, profile: str = "slurm", options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Snakemake in a process group of its own, with the numbers seen from here: killing it kills what runs on the cluster too."""
        return copy.start(*self._snakemake(profile, options), *targets)

    def run(self, copy: Copy, *targets: str, status: int = 0, profile: str = "slurm", options: tuple[str, ...] = ()) -> str:
        return copy.run(*self._snakemake(profile, options), *targets, status=status).stderr

    def _snakemake(self, profile: str, options: tuple[str, ...]) -> list[str]:
        given = ["--profile", profile, "--config", "scale=demo", *QUICK, "--rerun-triggers", "params", "input", *options]
        return ["snakemake", "--nocolor", *given, "--"]

    def jobs(self, state: str) -> dict[str, str]:
        """Names of the jobs in a state, by number: their comments, as Snakemake's executor sets them."""
        said = self.said("squeue", "--noheader", "--states", state, "--format", "%i|%k")
        return dict(line.split("|", 1) for line in said.splitlines())

    def cancel(self, name: str) -> None:
        """Cancel the running jobs with this in their names."""
        self.said("scancel", *(number for number, each in self.jobs("running").items() if name in each))


@contextmanager
def started(folder: Path, **options: int | str) -> Iterator[Cluster]:
    """A cluster for as long as the context lasts. What there is to choose stands at the top of `cluster`."""
    up = [SCRIPT, "up", folder, *(f"{key}={value}" for key, value in options.items())]
    done = subprocess.run(up, capture_output=True, text=True, check=False)
    if done.returncode not in (0, THERE_IS_ONE):
        pytest.fail(f"Slurm did not start: {done.stderr}")
    if done.returncode == THERE_IS_ONE:
        if shutil.which("sbatch") is None:
            pytest.fail("there is a slurm.conf here, but no sbatch")
        yield Cluster(None)
        return
    try:
        yield Cluster(folder)
    finally:
        subprocess.run([SCRIPT, "down", folder], check=True)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Copy:
    """A copy in which the data are drawn and checked, without Slurm."""
    copy = cluster.copy(tmp_path_factory.mktemp("prepared") / "project")
    for job in copy.plan.jobs([copy.plan.prepare("digits")]):
        copy.run(*job.command.split())
    return copy


@pytest.fixture(scope="session")
def undisturbed(prepared: Copy) -> str:
    """The long stage, trained in one go without Slurm: the id of its receipt."""
    prepared.change(LONG)
    prepared.run(*prepared.plan.distill("B-B", 1).command.split())
    return receipts.read(prepared.folder / STAGE).id


def with_data(copy: Copy, prepared: Copy) -> Copy:
    """The same copy with its data drawn and checked: what a test is about begins at once."""
    for part in ("data", "results/demo/generate", "results/demo/prepare"):
        shutil.copytree(prepared.folder / part, copy.folder / part)
    return copy


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster) -> Callable[..., Copy]:
    """Makes copies of the project, small as in tests/e2e, with this cluster's site.yaml."""

    def make(name: str, **changes: Any) -> Copy:
        copy = cluster.copy(tmp_path / name)
        copy.change(changes)
        if cluster.ours:
            (copy.folder / "site.yaml").write_text(SITE)
        return copy

    return make


@pytest.fixture
def ready(project: Callable[..., Copy], prepared: Copy) -> Callable[..., Copy]:
    """Makes copies of the project whose data are there."""
    return lambda name, **changes: with_data(project(name, **changes), prepared)


def ids(copy: Copy, row: str) -> dict[str, str]:
    """By job of a row's cell, the id of its receipt."""
    return {job.name: receipts.read(copy.folder / job.receipt).id for job in copy.plan.jobs(copy.plan.cells([row]))}
