"""The lines that are given to sbatch: each job gets its nodes, its GPUs on each of them and one task there, whatever the site asks for."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbot.params.load import load
from dbot.plan import Plan
from tests.workflow.conftest import snakemake

SHOW = """
import atexit


def show_lines():
    from types import SimpleNamespace

    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string
    from snakemake_executor_plugin_slurm.validation import validate_slurm_extra
    from snakemake_executor_plugin_slurm_dbot import Executor

    about = dict(run_uuid="run", slurm_logfile="log", comment_str="", partition="", workdir=".")
    for each in workflow.dag.needrun_jobs(exclude_finished=False):
        if each.rule.name.split("_")[0] in kinds():  # in a dry run all are local
            validate_slurm_extra(each)
            account = next(Executor.get_account_arg(None, each))
            line = get_submit_command(each, dict(about, account=account), workflow.executor_settings) + set_gres_string(each)
            print("LINE", each.rule.name, "/".join(each.wildcards), "|", line, "| partition", each.resources.get("slurm_partition"))


atexit.register(show_lines)
"""
"""Goes at the end of a copy's Snakefile: in a dry run, the executor's own line for every job."""

CELL = "results/paper/evaluate/B-B/cls/seed0/receipt.json"


@dataclass(frozen=True)
class Nodes:
    """A cluster of equal nodes, and how Slurm (select/cons_tres, 22.05 and 24.11) places a job on them."""

    number: int
    gpus: int
    cores: int
    memory_mb: int
    gpu_type: str | None = None

    def place(self, line: str) -> tuple[int, int, int]:
        """Nodes of a job, tasks and GPUs on each of them.

        Raises:
            ValueError: Slurm would refuse the job, or may place it another way than is meant.
        """
        options = _options(line)
        nodes = int(options.get("nodes", 1))
        per_gpu, asked = int(options.get("ntasks-per-gpu", 0)), _gpus(options.get("gpus"))
        tasks = int(options.get("ntasks", asked[1] * per_gpu if per_gpu else 1))
        types = {
            kind
            for kind, count in (asked, _gpus(options.get("gres"), "gpu:"), _gpus(options.get("gpus-per-node")))
            if count and kind is not None
        }
        named = [name for name in ("gpus", "gres", "gpus-per-node") if name in options]
        on_each = _gpus(options.get("gpus-per-node"))[1] or _gpus(options.get("gres"), "gpu:")[1]
        if types - {self.gpu_type}:
            raise ValueError("Requested node configuration is not available: no such type of GPU")
        if types and any(_gpus(options[name].removeprefix("gpu:"))[0] is None for name in named):
            raise ValueError("Invalid GRES specification (with and without type identification)")
        if per_gpu and asked[1] * per_gpu != tasks:
            raise ValueError("Requested node configuration is not available: tasks for each GPU, and another number of tasks")
        if nodes > 1 and named and not on_each:
            raise ValueError("the GPUs may be spread unevenly over the nodes")
        if on_each and asked[1] and asked[1] != nodes * on_each:
            raise ValueError("Requested node configuration is not available: GPUs in all are not those on each node")
        on_each = on_each or asked[1]
        if tasks != nodes:
            raise ValueError(f"{tasks} tasks on {nodes} nodes")
        if nodes > self.number or on_each > self.gpus or int(options["cpus-per-task"]) > self.cores:
            raise ValueError("Requested node configuration is not available")
        if int(options.get("mem", 0)) > self.memory_mb:
            raise ValueError("Memory specification can not be satisfied")
        return nodes, tasks // nodes, on_each


def _options(line: str) -> dict[str, str]:
    words, found = iter(shlex.split(line)), {}
    for word in words:
        if (match := re.fullmatch(r"--([\w-]+)=(.*)", word)) is not None:
            found[match[1]] = match[2]
        elif word.startswith("--"):
            found[word[2:]] = next(words) if word in ("--mem", "--job-name", "--output", "--comment") else ""
        elif word.startswith("-") and len(word) == 2:
            found[word[1:]] = next(words)
    return found


def _gpus(text: str | None, prefix: str = "") -> tuple[str | None, int]:
    """Type and number of ``[TYPE:]NUMBER``."""
    kind, _, number = (text or "0").removeprefix(prefix).rpartition(":")
    return kind or None, int(number)


def lines(project: Path, site: str = "", *arguments: str) -> dict[str, str]:
    """By rule and wildcards, the line for every job of the paper's plan, or of what is asked for."""
    if site:
        (project / "site.yaml").write_text(site)
    if SHOW not in (snakefile := project / "workflow" / "Snakefile").read_text():
        snakefile.write_text(snakefile.read_text() + SHOW)
    said = snakemake(project, "--dry-run", "--cores", "96", "--profile", "slurm", *arguments).stdout
    found = dict(re.findall(r"^LINE (.*) \| (sbatch .*)$", said, re.MULTILINE))
    assert found, said[-3000:]
    return found


PAPER = Nodes(4, 8, 96, 1_000_000)
OLD = (
    "sbatch --parsable --job-name run --output log --export=ALL --comment '' -t 1440 --mem 480000 --nodes=4 --requeue "
    "--ntasks-per-gpu=4 --ntasks=4 --cpus-per-task=96 -D . --gpus=32"
)
"""What the executor makes of `tasks` and `gpu` alone; Slurm 22.05 and 24.11 answer: Requested node configuration is not available."""


def test_the_model_refuses_what_slurm_refused() -> None:
    with pytest.raises(ValueError, match="not available"):
        PAPER.place(OLD)
    with pytest.raises(ValueError, match="unevenly"):
        PAPER.place(OLD.replace("--ntasks-per-gpu=4 ", ""))
    with pytest.raises(ValueError, match="with and without type"):
        Nodes(4, 8, 96, 10**6, "h100").place(OLD.replace("--ntasks-per-gpu=4 ", "") + " --gres=gpu:h100:8")
    assert PAPER.place(OLD.replace("--ntasks-per-gpu=4 ", "") + " --gres=gpu:8") == (4, 1, 8)


def test_every_job_of_the_paper_is_placed_as_meant(fresh: Path) -> None:
    plan = Plan(load(fresh / "params.yaml", "paper"))
    found = lines(fresh)
    meant = {}
    for job in plan.jobs():
        rule = f"evaluate_{job.key['column']}" if job.verb == "evaluate" and job.key["column"] != "cls" else job.verb
        meant[f"{rule} {'/'.join(('paper', *job.key.values()))}"] = plan.resources(job)
    assert found.keys() == meant.keys()
    for name, line in found.items():
        asked = meant[name]
        assert PAPER.place(line) == (asked.nodes, 1, asked.gpus), line
        options = _options(line)
        assert (int(options["cpus-per-task"]), int(options["t"])) == (asked.threads, asked.minutes)


@pytest.mark.parametrize(("nodes", "gpus"), [(2, 2), (2, 4), (4, 2), (4, 8)])
@pytest.mark.parametrize("request_by", ["gpus", "gres", "gpus-per-node"])
def test_any_geometry_by_any_of_the_options(nodes: int, gpus: int, request_by: str) -> None:
    """The site's part alone; what Snakemake and the executor make of it is the test above."""
    from types import SimpleNamespace

    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    from dbot.params.scales import Resources
    from dbot.params.site import Site

    class Asked(dict):  # type: ignore[type-arg]
        __getattr__ = dict.__getitem__

    for model in (None, "h100"):
        site = Site.model_validate({"gpu_request": request_by, "gpu_model": model})
        asked = Asked(nodes=nodes, **site.requests(Resources(nodes=nodes, gpus=gpus, threads=4)))
        job = SimpleNamespace(resources=asked, threads=4)
        about = {"run_uuid": "run", "slurm_logfile": "log", "comment_str": "", "account": "", "partition": "", "workdir": "."}
        line = get_submit_command(job, about, None) + set_gres_string(job)
        assert Nodes(4, 8, 96, 10**6, model).place(line) == (nodes, 1, gpus), line


@pytest.mark.parametrize(
    ("site", "with_gpus", "without"),
    [
        ("gpu_request: gres\n", {"gres": "gpu:8", "gpus": None}, {"gres": None}),
        ("gpu_request: gpus-per-node\ngpu_model: a100-sxm4-40gb\n", {"gpus-per-node": "a100-sxm4-40gb:8", "gpus": None, "gres": None}, {}),
        ("gpu_model: h100\n", {"gpus": "h100:32", "gres": "gpu:h100:8"}, {"gpus": None}),
        ("memory: false\n", {"mem": None}, {"mem": None}),
        ("exclusive: {gpu: true}\n", {"exclusive": ""}, {"exclusive": None}),
        ("reservation: maintenance\n", {"reservation": "maintenance"}, {"reservation": "maintenance"}),
        ("account: {cpu: small, gpu: large}\nqos: {gpu: long}\n", {"A": "large", "qos": "long"}, {"A": "small", "qos": None}),
        ("constraint: nvlink\nextra: --mail-type=FAIL\n", {"C": "nvlink", "mail-type": "FAIL"}, {"C": "nvlink"}),
    ],
)
def test_each_key_of_a_site_is_an_option(fresh: Path, site: str, with_gpus: dict[str, str | None], without: dict[str, str | None]) -> None:
    found = lines(fresh, site, CELL)
    for rule, expected in (("distill", with_gpus), ("prepare", without)):
        options = _options(next(line for name, line in found.items() if name.startswith(f"{rule} ")))
        assert {name: options.get(name) for name in expected} == expected, rule


def test_a_partition_by_kind(fresh: Path) -> None:
    found = lines(fresh, "partition: {cpu: small, gpu: big}\n", CELL)
    assert {name.split()[0]: line.split()[-1] for name, line in found.items()} == {
        "prepare": "small",
        "distill": "big",
        "finetune": "big",
        "evaluate": "big",
    }
