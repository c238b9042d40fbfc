"""Check everything behind a cell, down to the images, against DVC, git and MLflow, and name the first thing that doesn't match.

Without a target, the tables, figures and the page of the report are made again and compared as well.
"""

import argparse

from dbot.base.digest import canonical
from dbot.base.errors import UserError
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge
from dbot.lineage.target import jobs_at
from dbot.lineage.verify import verify
from dbot.params.load import load
from dbot.params.teachers import RandomTeacher, RowTeacher
from dbot.plan import Job, Plan
from dbot.report.best import best_models
from dbot.report.written import check_written
from dbot.tracking.mlflow import Checked, check_runs
from dbot.tracking.registry import check_models
from dbot.versioning.pointer import check_kept, is_kept, kept_by

SHORT = 12
"""Digits of a digest that a line shows."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="*", metavar="TARGET", help="a cell (B-B/cls, B-B/cls/seed0), a row, a receipt or a file of a job (default: all)"
    )
    parser.add_argument("--skip-images", action="store_true", help="don't hash the images of the data sets")
    parser.add_argument("--skip-teachers", action="store_true", help="don't load the teachers that came from elsewhere")
    parser.add_argument("--skip-mlflow", action="store_true", help="don't compare the runs in MLflow")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    cells = [job for target in args.target for job in jobs_at(plan, target)] or [job for job in plan.targets() if job.receipt.exists()]
    if not cells:
        raise UserError(f"results/{plan.scale}: no cell of the table has a receipt yet; run `snakemake --config scale={plan.scale}`")
    jobs = plan.jobs(cells)
    judge = Judge()
    found = verify(judge, jobs, images=not args.skip_images)
    kept = sum(check_kept(job, folders=not args.skip_images) for job in jobs)
    unkept = [job.name for job in jobs if not all(map(is_kept, kept_by(job)))]
    if unkept:
        found.notes.append(f"DVC: lacks files of {len(unkept)} of {len(jobs)} jobs; `dbot record` hands them over")
    teachers, left_out = _teachers(plan, jobs) if not args.skip_teachers else (0, ["teachers: not loaded, as asked"])
    written = check_written(plan) if not args.target else []
    if args.skip_mlflow:
        runs, models = Checked(notes=["MLflow: not checked, as asked"]), Checked()
    else:
        paths = {job.receipt for job in jobs}
        runs, models = check_runs(jobs), check_models([model for model in best_models(plan) if model.path in paths])
    print(f"{len(cells)} result{'s' * (len(cells) != 1)} of scale {plan.scale} and all that is behind them match:")
    print(f"  {found.receipts} receipts, {found.files} files of jobs, {found.images} files of data sets")
    print(f"  {kept} files as DVC has them, {found.commits} executions with the code of their commit in git")
    if runs.same:
        print(f"  {runs.same} runs as MLflow has them")
    if models.same:
        print(f"  {models.same} model{'s' * (models.same != 1)} as MLflow's registry has them, best of their rows")
    if teachers:
        print(f"  {teachers} teacher{'s' * (teachers != 1)} from elsewhere, with the weights on the receipts")
    if written:
        print(f"  {len(written)} files as these receipts give them: {', '.join(path.name for path in written)}")
    for note in [*found.notes, *left_out, *runs.notes, *models.notes]:
        print(f"  {note}")


def _teachers(plan: Plan, jobs: list[Job]) -> tuple[int, list[str]]:
    """Load each teacher that came from elsewhere as its jobs did; returns how many are what they were, and which can't be had.

    Raises:
        UserError: one has other weights by now.
    """
    same, notes, seen = 0, [], set[bytes]()
    for job in jobs:
        digest = receipts.read(job.receipt).results.get("teacher_sha256")
        if digest is None:
            continue
        params, row = plan.params, plan.params.rows[job.key["row"]]
        declared = params.teacher_of(row)
        if isinstance(declared, RandomTeacher | RowTeacher):  # its weights are drawn, or another job's
            continue
        target = params.recipes.pretrain[row.recipe].of_stage(1).target
        here = canonical([job.settings["teacher"], target.model_dump()])
        if here in seen:
            continue
        seen.add(here)
        if job.settings["teacher"].get("weights") == "hub":
            notes.append(f"teachers: {row.teacher} comes from timm's hub, and is not fetched again")
            continue
        from dbot.models.teachers.declared import foreign_teacher

        try:
            now = foreign_teacher(declared, target.final_norm, params.normalisation).digest()
        except UserError as error:
            notes.append(f"teachers: {row.teacher} is not here ({error})")
            continue
        if now != digest:
            raise UserError(
                f"{job.receipt}: teacher {row.teacher} has other weights by now (SHA-256 {now[:SHORT]}, on the receipt "
                f"{str(digest)[:SHORT]}); put the file back that was there, or run the row again"
            )
        same += 1
    return same, notes
