"""The rules say what the plan says, and name only programs and flags that exist."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from dbot import cli
from dbot.jobs.kind import kinds
from dbot.params.load import load
from dbot.plan import RESULTS, Job, Plan
from tests.params_text import params_text
from tests.workflow.conftest import PROGRAMS, snakemake

SCALES = list(yaml.safe_load(params_text())["scales"])
CHECKPOINTS = ("fetch", "distill", "finetune", "detect", "segment")
LAUNCH = "workflow/launch"
"""Takes three flags with their values, then what `dbot` takes."""
SHELL = re.compile(r"^Shell command: (.*) >> (\S+) 2>&1$", re.MULTILINE)


def plan_of(scale: str, project: Path) -> Plan:
    return Plan(load(project / "params.yaml", scale))


@pytest.fixture(scope="module")
def lines(empty: Path) -> dict[str, dict[str, str]]:
    """By scale, the shell line of every job and the log that it writes."""
    found = {}
    for scale in SCALES:
        planned = snakemake(empty, "--dry-run", "--printshellcmds", "--config", f"scale={scale}")
        assert planned.returncode == 0, planned.stdout
        found[scale] = dict(SHELL.findall(planned.stdout))
    return found


def bare(line: str) -> list[str]:
    """A shell line as the plan has it, whatever starts the processes."""
    words = shlex.split(line)
    return ["dbot", *words[9:]] if words[0] == LAUNCH else words


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_runs_the_jobs_of_its_plan_and_nothing_else(scale: str, lines: dict[str, dict[str, str]], empty: Path) -> None:
    plan = plan_of(scale, empty)
    jobs = plan.jobs()
    here = RESULTS / scale
    expected = [
        *(["dbot", *job.arguments] for job in jobs),
        ["dbot", "table", "--scale", scale, "--output", f"{here}/table.csv"],
        *(["dbot", view, "--scale", scale, "--output", f"{here}/{view}.csv"] for view in plan.evidence() if view != "comparisons"),
        ["dbot", "report", "--scale", scale, "--output", f"{here}/report.html"],
    ]
    assert sorted(map(bare, lines[scale])) == sorted(expected)


@pytest.mark.parametrize("scale", SCALES)
def test_a_job_declares_the_files_of_its_plan(scale: str, empty: Path) -> None:
    summary = snakemake(empty, "--detailed-summary", "--config", f"scale={scale}").stdout
    rows = [line.split("\t") for line in summary.splitlines() if line.startswith(f"{RESULTS}/{scale}/")]
    # The rules of the dense columns are `evaluate` with more outputs.
    declared = sorted(row[0] for row in rows if row[2].removesuffix("_det").removesuffix("_seg") in kinds())
    planned = sorted(str(job.folder / name) for job in plan_of(scale, empty).jobs() for name in (job.receipt.name, *job.artifacts))
    assert declared == planned


@pytest.mark.parametrize("scale", SCALES)
def test_a_job_has_one_process_a_gpu(scale: str, lines: dict[str, dict[str, str]], empty: Path) -> None:
    plan = plan_of(scale, empty)
    trained: list[Job] = [job for job in plan.jobs() if job.verb in (*CHECKPOINTS, "evaluate", "probe", "analyse")]
    started = {tuple(bare(line)): shlex.split(line) for line in lines[scale]}
    for job in trained:
        wanted = plan.resources(job)
        placed = (wanted.gpus or 0) > 0 or (wanted.nodes or 1) > 1
        memory = f"{wanted.memory_gb:g}"
        flags = ["--nodes", f"{wanted.nodes}", "--gpus", f"{wanted.gpus}", "--threads", f"{wanted.threads}", "--memory-gb", memory]
        line = started["dbot", *job.arguments]
        assert line[:9] == [LAUNCH, *flags] if placed else line[0] == "dbot"


def test_every_program_and_flag_exists(lines: dict[str, dict[str, str]], empty: Path) -> None:
    verbs = set()
    dense = snakemake(
        *(empty, "--dry-run", "--printshellcmds", "column_det", "column_seg", "transfers", "shifts", "adaptations"),
        *("comparisons", "sweep_teachers"),
    ).stdout
    shown = (*(line for scale in SCALES for line in lines[scale]), *dict(SHELL.findall(dense)))
    for line in shown:
        words = shlex.split(line)
        assert words[0] == LAUNCH or shutil.which(words[0], path=str(PROGRAMS)), f"{words[0]} is not installed"
        verb, *flags = bare(line)[1:]
        cli.parser(verb).parse_args(flags)  # ends the test where a flag is unknown or missing
        verbs.add(verb)
    assert verbs == {*kinds(), "table", "probes", "analyses", "transfers", "shifts", "adaptations", "sweep", "report"}


def test_a_row_may_start_from_released_weights(fresh: Path) -> None:
    text = (fresh / "params.yaml").read_text()
    head = "      uses: {pretrain: digits,"
    assert text.count(head) == 1
    rows = "      rows: {B-B: {teacher: null, stages: null, released: B-B-pre}}\n"
    (fresh / "params.yaml").write_text(text.replace(head, head.replace("      uses", rows + "      uses")))
    plan = Plan(load(fresh / "params.yaml", "demo"))
    planned = snakemake(fresh, "--dry-run", "--printshellcmds", "row_B-B")
    lines = sorted(bare(line) for line in dict(SHELL.findall(planned.stdout)))
    jobs = [["dbot", *job.arguments] for job in plan.jobs(plan.cells(["B-B"]))]
    assert lines == sorted(jobs)
    (fetched,) = [line for line in jobs if line[1] == "fetch"]
    cli.parser("fetch").parse_args(fetched[2:])
    done = snakemake(fresh, "--cores", "2", "row_B-B")
    assert done.returncode == 0, done.stdout
    assert (fresh / "results/demo/fetch/B-B-pre/model.safetensors").exists()


def test_no_two_jobs_share_a_log(lines: dict[str, dict[str, str]]) -> None:
    logs = [log for scale in SCALES for log in lines[scale].values()]
    assert len(logs) == len(set(logs))
