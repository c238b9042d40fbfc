"""Where a job's processes come to be on a real Slurm: on which nodes, with which GPUs. A stand-in for `dbot` says so; all else is real."""

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dbot.params.load import load
from dbot.plan import Plan
from tests.e2e.project import lay
from tests.slurm.conftest import QUICK, Cluster, started
from tests.workflow.conftest import PROGRAMS, PROJECT, copy_of_project

pytestmark = pytest.mark.slurm

STAGE = "results/demo/distill/B-B/stage1/receipt.json"
GEOMETRIES = [(2, 2, 4), (2, 4, 8), (4, 2, 4), (4, 8, 96)]
"""Nodes, GPUs and cores on each. The last is the paper's. In the others a single node could hold all the GPUs of a job, and must not."""

DBOT = """#!/usr/bin/env bash
# Says where this process is. The first writes what its rule declares.
echo "place node=$SLURMD_NODENAME cores=$SLURM_CPUS_PER_TASK gpus=$CUDA_VISIBLE_DEVICES parent=$PPID" \\
  "rank=$RANK local=$LOCAL_RANK world=$WORLD_SIZE"
[[ ${RANK:-0} != 0 ]] || exec writes_outputs "$@"
"""
LAUNCH = """#!/usr/bin/env bash
# Stands in for workflow/launch where a hundred processes for each job would take an hour: says what each node of the job has.
nodes=1 threads=1
while [[ $1 == --* ]]; do
  case $1 in
    --nodes) nodes=$2 ;;
    --threads) threads=$2 ;;
  esac
  [[ $2 == [0-9]* ]] && shift 2 || shift
done
say='echo "place node=$SLURMD_NODENAME cores=$SLURM_CPUS_PER_TASK gpus=$CUDA_VISIBLE_DEVICES"'
[[ -z $SLURM_JOB_ID ]] || ((nodes > 1)) || bash -c "$say"
((nodes == 1)) || [[ -z $SLURM_JOB_ID ]] || srun --jobid "$SLURM_JOB_ID" --nodes "$nodes" --ntasks "$nodes" --ntasks-per-node 1 \\
  --cpus-per-task "$threads" bash -c "$say" || exit
exec dbot "$@"
"""
TOUCH = """#!/usr/bin/env bash
# Makes the files that the plan names for a job.
while (($# > 1)); do
  [[ $1 != --receipt ]] || receipt=$2
  shift
done
touch $(grep "^$(dirname "$receipt")/" stand-in/files)
"""


def stand_in(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def snakemake(cluster: Cluster, project: Path, *arguments: str) -> str:
    path = os.pathsep.join((str(project / "stand-in"), str(PROGRAMS), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join((str(PROJECT / "src"), str(PROJECT)))}
    command = cluster.command("snakemake", "--nocolor", *arguments)
    done = subprocess.run(command, cwd=project, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1200)
    assert done.returncode == 0, done.stdout
    return done.stdout


def places(log: Path) -> list[dict[str, str]]:
    """What the processes of a job have said."""
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in log.read_text().splitlines() if line.startswith("place ")]


def devices(place: dict[str, str]) -> list[str]:
    return [name for name in place["gpus"].split(",") if name not in ("", "NoDevFiles")]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with stand-ins."""
    folder = copy_of_project(tmp_path_factory.mktemp("geometry") / "project")
    (folder / "stand-in" / "dbot").rename(folder / "stand-in" / "writes_outputs")
    return folder


@pytest.fixture(scope="module")
def typed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose GPUs have a type, besides the other."""
    if not cluster.ours:
        pytest.skip("this Slurm's GPUs have the types that they have")
    with started(tmp_path_factory.mktemp("typed"), type="h100", nodes=2) as another:
        yield another


def check_places(cluster: Cluster, project: Path, geometry: tuple[int, int, int], site: str) -> None:
    """Train a stage on nodes with GPUs and cores on each, and look where its processes were."""
    nodes, gpus, threads = geometry
    stand_in(project / "stand-in" / "dbot", DBOT)
    (project / "site.yaml").write_text(site)
    document = yaml.safe_load((project / "params.yaml").read_text())
    asked = {"nodes": nodes, "gpus": gpus, "threads": threads, "memory_gb": 2, "minutes": 10}
    lay(document["scales"]["demo"]["overrides"], {"resources": {"distill": {"any": asked}}})
    (project / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    snakemake(cluster, project, "--cores", "2", "--config", "scale=demo", "--", "results/demo/prepare/digits/receipt.json")
    snakemake(cluster, project, "--profile", "slurm", "--config", "scale=demo", *QUICK, "--", STAGE)

    found = places(project / "logs/demo/distill/B-B/stage1.log")
    assert sorted(int(place["rank"]) for place in found) == list(range(nodes * gpus))
    assert {place["world"] for place in found} == {str(nodes * gpus)}
    assert {place["cores"] for place in found} == {str(threads)}
    by_node = defaultdict(list)
    for place in found:
        by_node[place["node"]].append(place)
    assert len(by_node) == nodes, "the job is on other nodes than it asked for"
    for node, there in by_node.items():
        assert len({place["parent"] for place in there}) == 1, f"{node} has more than one torchrun"
        assert sorted(int(place["local"]) for place in there) == list(range(gpus))
        assert {len(set(devices(place))) for place in there} == {gpus}, f"{node} does not have the GPUs of its processes"


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_each_node_has_one_torchrun_with_its_gpus(cluster, prepared, tmp_path, geometry):
    if not cluster.ours:
        pytest.skip("this Slurm may have other nodes")
    project = Path(shutil.copytree(prepared, tmp_path / "project", symlinks=True))
    check_places(cluster, project, geometry, "partition: {cpu: work, gpu: work}\n")


@pytest.mark.parametrize("request_by", ["gpus", "gres", "gpus-per-node"])
def test_gpus_of_a_type_come_by_every_way_to_ask_for_them(typed, prepared, tmp_path, request_by):
    project = Path(shutil.copytree(prepared, tmp_path / "project", symlinks=True))
    check_places(typed, project, (2, 4, 8), f"partition: work\ngpu_model: h100\ngpu_request: {request_by}\n")


def test_every_rule_and_size_of_the_papers_scale_is_submitted_as_it_is_and_starts(cluster, prepared, tmp_path):
    """One job of each rule and size, which ask for the same. What they need is made beforehand, without Slurm."""
    if not cluster.ours:
        pytest.skip("this Slurm may have other nodes")
    project = Path(shutil.copytree(prepared, tmp_path / "project", symlinks=True))
    stand_in(project / "stand-in" / "dbot", TOUCH)
    stand_in(project / "workflow" / "launch", LAUNCH)
    (project / "site.yaml").write_text("partition: {cpu: long, gpu: long}\n")
    plan = Plan(load(project / "params.yaml", "paper"))
    planned = plan.jobs([*plan.targets(), *plan.transfers()])
    files = [str(job.folder / name) for job in planned for name in ("receipt.json", *job.artifacts)]
    (project / "stand-in" / "files").write_text("\n".join(files) + "\n")
    jobs = {
        (job.verb, job.key.get("column"), job.architecture): job
        for job in planned
        if job.verb not in ("generate", "fetch")  # these run where Snakemake runs
    }
    receipts = [str(job.receipt) for job in jobs.values()]
    snakemake(cluster, project, "--cores", "2", "--config", "scale=paper", "--", *receipts)
    for job in jobs.values():
        shutil.rmtree(project / job.folder)
        (project / job.log).unlink(missing_ok=True)
    # The files that are left are older than what is made anew, which is none of this test's business.
    snakemake(cluster, project, "--profile", "slurm", *QUICK, "--rerun-triggers", "params", "--", *receipts)
    for job in jobs.values():
        wanted, found = plan.resources(job), places(project / job.log)
        if wanted.gpus:
            assert len({place["node"] for place in found}) == len(found) == wanted.nodes, f"{job.name} is on other nodes than it asked for"
            assert {len(set(devices(place))) for place in found} == {wanted.gpus}, f"{job.name} has other GPUs than it asked for"
        assert (project / job.receipt).exists()
