"""`snakemake --profile slurm` on a real Slurm: rows, concurrency, time limits, cancellation, failures, several nodes."""

import time
from itertools import pairwise

import pytest

from dbot.lineage import receipt as receipts
from dbot.lineage.executions import execution_of
from tests.slurm.conftest import LONG, STAGE, ids

pytestmark = pytest.mark.slurm

MARGIN = {"stop_before_limit_seconds": 25}
"""Leaves half a minute of each minute to start and to train in."""


def attempts(copy, job):
    path = copy.folder / job.receipt
    return execution_of(path, receipts.read(path).id).attempts


def until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not come about"
        time.sleep(0.2)


def test_rows_go_through_with_mlflow_and_dvc_complete(project, cluster):
    copy = project("rows", build={"rows": ["B-B", "B-CLIP"], "columns": ["cls"]}, recipes={"pretrain": {"symmetric": {"epochs": 2}}})
    cluster.run(copy, "all")
    table = (copy.folder / "results/demo/table.csv").read_text()
    assert "B-CLIP" in table
    plan = copy.plan
    jobs = [job for job in plan.jobs() if job.verb not in ("generate", "prepare")]
    for job in jobs:
        assert all(attempt.slurm_job for attempt in attempts(copy, job)), f"{job.name} names no Slurm job"
        assert (copy.folder / "logs" / f"{job.name.replace(job.verb, f'demo/{job.verb}', 1)}.log").is_file()
    spans = sorted((a.started, a.seconds) for job in jobs if job.verb == "distill" for a in attempts(copy, job))
    begun = [time.mktime(time.strptime(started[:19], "%Y-%m-%dT%H:%M:%S")) for started, _ in spans]
    assert any(after < before + seconds for (before, after), (_, seconds) in zip(pairwise(begun), spans, strict=False)), (
        "no two stages overlapped"
    )
    assert "match" in copy.run("dbot", "verify", "B-B/cls").stdout
    assert copy.run("dvc", "status").stdout.strip().endswith("up to date.")
    assert f"{len(plan.jobs())} executions of scale demo, 0 runs completed just now" in copy.run("dbot", "sync").stdout


def test_a_job_cut_by_its_time_limit_goes_on_and_ends_with_the_bits_of_an_uncut_one(ready, cluster, undisturbed):
    copy = ready("cut", **LONG, execution=MARGIN)
    copy.change({"resources": {"distill": {"any": {"minutes": 1}, "B": {"minutes": 1}}}})
    said = cluster.run(copy, STAGE)
    assert "Error" not in said, "Snakemake counted a failure"
    assert len(attempts(copy, copy.plan.distill("B-B", 1))) >= 2
    assert len({attempt.slurm_job for attempt in attempts(copy, copy.plan.distill("B-B", 1))}) == 1, "a requeued job keeps its number"
    assert receipts.read(copy.folder / STAGE).id == undisturbed
    assert "leaves off, as it was asked to" in (copy.folder / "logs/demo/distill/B-B/stage1.earlier.log").read_text()


def test_a_cancelled_job_is_submitted_again_and_loses_nothing(ready, cluster, undisturbed):
    copy = ready("cancelled", **LONG)
    run = cluster.start(copy, STAGE)
    log = copy.folder / "logs/demo/distill/B-B/stage1.log"
    until(lambda: log.exists() and "epoch 20 done" in log.read_text())
    cluster.cancel("distill")
    assert run.wait(timeout=300) == 0
    first, second = attempts(copy, copy.plan.distill("B-B", 1))
    assert first.slurm_job != second.slurm_job
    assert receipts.read(copy.folder / STAGE).id == undisturbed


def test_a_row_that_fails_leaves_the_others_running(project, cluster):
    broken = {"recipes": {"pretrain": {"asymmetric-L": {"extends": "asymmetric", "optimizer": {"learning_rate": 1.0e30}}}}}
    copy = project("failing", **broken)
    whole = project("whole")
    said = cluster.run(copy, "row_B-B", "row_L-L", status=1)
    assert "stopped being finite" in said, "the reason is not shown"
    whole.run("snakemake", "--cores", "2", "row_B-B")
    assert ids(copy, "B-B") == ids(whole, "B-B")
    assert not (copy.folder / "results/demo/distill/L-L/stage1/receipt.json").exists()


@pytest.mark.parametrize(("nodes", "gpus"), [(2, 1), (2, 2)])
def test_a_job_on_two_nodes_trains_as_one_process_does(ready, cluster, nodes, gpus):
    alone = ready("alone")
    alone.run(*alone.plan.distill("B-B", 1).command.split())
    copy = ready("together", resources={"distill": {"any": {"nodes": nodes, "gpus": gpus}, "B": {"batch_per_process": 4}}})
    cluster.run(copy, STAGE)
    one, several = (receipts.read(each.folder / STAGE) for each in (alone, copy))
    assert several.processes == nodes * gpus
    assert several.results["steps"] == one.results["steps"]
    assert several.results["loss"] == pytest.approx(one.results["loss"], rel=1e-4)


def test_a_job_on_two_nodes_is_cut_and_goes_on(ready, cluster):
    two = {"distill": {"any": {"nodes": 2, "gpus": 1}, "B": {"batch_per_process": 8}}}
    recipes = {"pretrain": {"asymmetric": {"epochs": 200}}}
    whole = ready("whole", resources=two, recipes=recipes)
    cluster.run(whole, STAGE)
    cut = ready("cut", resources=two, recipes=recipes, execution=MARGIN)
    cut.change({"resources": {"distill": {"any": {"minutes": 1}, "B": {"minutes": 1}}}})
    cluster.run(cut, STAGE)
    assert len(attempts(cut, cut.plan.distill("B-B", 1))) > len(attempts(whole, whole.plan.distill("B-B", 1)))
    assert receipts.read(cut.folder / STAGE).id == receipts.read(whole.folder / STAGE).id


def test_the_preemptible_profile_plans_chunks(project, cluster):
    copy = project("chunks")
    said = copy.run(
        "snakemake", "--nocolor", "-n", "--profile", "workflow/profiles/slurm-preemptible", "--config", "scale=demo", "--", STAGE
    )
    assert "240 min" in said.stdout + said.stderr
