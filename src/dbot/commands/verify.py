"""Check everything behind a cell, down to the images, against DVC, git and MLflow, and name the first thing that doesn't match.

Without a target, the tables, figures and the page of the report are made again and compared as well. With `--recompute`, jobs are
done again in a scratch folder, and give the same, bit for bit, or within a tolerance where a GPU computed them in no fixed order;
nothing here is written.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dbot.base.digest import canonical
from dbot.base.errors import UserError
from dbot.commands import recomputing
from dbot.lineage import receipt as receipts
from dbot.lineage.judge import Judge
from dbot.lineage.target import jobs_at
from dbot.lineage.verify import verify
from dbot.params.load import load
from dbot.params.teachers import RandomTeacher, RowTeacher
from dbot.plan import RESULTS, Job, Plan
from dbot.report import adaptations, analyses, probes, shifts, sweeps, transfers
from dbot.report.best import best_models, row_runs
from dbot.report.files import csv_text, markdown
from dbot.report.page import render
from dbot.report.table import build
from dbot.tracking.mlflow import Checked, check_runs
from dbot.tracking.models import check_made
from dbot.tracking.registry import check_models
from dbot.tracking.rows import check_rows
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
    recomputing.arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="to read, or for programs: counts, notes, problems")


def run(args: argparse.Namespace) -> None:
    try:
        found = _check(args)
    except UserError as error:
        if args.format == "json":
            print(json.dumps({"matches": False, "problems": list(error.problems)}, indent=1, ensure_ascii=False))
        raise
    print(json.dumps({"matches": True, **found}, indent=1, ensure_ascii=False) if args.format == "json" else "\n".join(_lines(found)))


def _check(args: argparse.Namespace) -> dict[str, Any]:
    """How much was compared and matches, and what could not be compared.

    Raises:
        UserError: names the first thing that doesn't match.
    """
    recomputing.check_flags(args)
    plan = Plan(load(args.params, args.scale))
    cells = [job for target in args.target for job in jobs_at(plan, target)] + recomputing.targets(plan, args)
    cells = list({job.name: job for job in cells or plan.targets() if cells or job.receipt.exists()}.values())
    if not cells:
        raise UserError(f"results/{plan.scale}: no cell of the table has a receipt yet; run `snakemake --config scale={plan.scale}`")
    jobs = plan.jobs(cells)
    judge = Judge()
    found = verify(judge, jobs, not args.skip_images, cells, plan.params.signatures)
    kept = sum(check_kept(job, folders=not args.skip_images) for job in jobs)
    unkept = [job.name for job in jobs if not all(map(is_kept, kept_by(job)))]
    if unkept:
        found.notes.append(f"DVC: lacks files of {len(unkept)} of {len(jobs)} jobs; `dbot record` hands them over")
    teachers, left_out = _teachers(plan, jobs) if not args.skip_teachers else (0, ["teachers: not loaded, as asked"])
    written = check_written(plan) if not args.target and not recomputing.targets(plan, args) else []
    if args.skip_mlflow:
        runs, rows, models, made = Checked(notes=["MLflow: not checked, as asked"]), Checked(), Checked(), Checked()
    else:
        paths, table = {job.receipt for job in jobs}, build(plan, Judge())
        named = {job.key.get("row") for job in cells}
        runs, rows = check_runs(jobs), check_rows(plan.scale, [row for row in row_runs(table) if row.row in named])
        models = check_models([model for model in best_models(table) if model.path in paths])
        made = check_made(plan, {receipts.read(path).id for path in paths})
    anew = recomputing.run(plan, args, jobs) if args.recompute else None
    return {
        "scale": plan.scale,
        "results": len(cells),
        "receipts": found.receipts,
        "files": found.files,
        "images": found.images,
        "kept": kept,
        "commits": found.commits,
        "runs": runs.same,
        "rows": rows.same,
        "models": models.same,
        "made": made.same,
        "teachers": teachers,
        "signatures": {name: {"signer": signed.signer, "key": signed.key} for name, signed in found.signed.items()},
        "vouched_for": {job.name: found.signed[job.name].signer for job in cells if job.name in found.signed},
        "written": [path.as_posix() for path in written],
        "recomputed": anew,
        "notes": [*found.notes, *left_out, *runs.notes, *rows.notes, *models.notes, *made.notes],
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    results, models, teachers, written = (found[name] for name in ("results", "models", "teachers", "written"))
    yield f"{results} result{'s' * (results != 1)} of scale {found['scale']} and all that is behind them match:"
    yield f"  {found['receipts']} receipts, {found['files']} files of jobs, {found['images']} files of data sets"
    yield f"  {found['kept']} files as DVC has them, {found['commits']} executions with the code of their commit in git"
    if found["runs"]:
        yield f"  {found['runs']} runs, {found['rows']} rows and {found['made']} models as MLflow has them"
    if models:
        yield f"  {models} model{'s' * (models != 1)} as MLflow's registry has them, best of their rows"
    if teachers:
        yield f"  {teachers} teacher{'s' * (teachers != 1)} from elsewhere, with the weights on the receipts"
    if written:
        yield f"  {len(written)} files as these receipts give them: {', '.join(Path(path).name for path in written)}"
    yield from _vouched(found)
    if found["recomputed"] is not None:
        yield from recomputing.lines(found["recomputed"])
    yield from (f"  {note}" for note in found["notes"])


def _vouched(found: dict[str, Any]) -> Iterator[str]:
    """Who vouches for what: a result's signature is for all behind it as well, which it names by id."""
    keys = {(each["signer"], each["key"]): None for each in found["signatures"].values()}
    for signer, key in keys:
        count = sum((each["signer"], each["key"]) == (signer, key) for each in found["signatures"].values())
        yield f"  {count} receipt{'s' * (count != 1)} signed by {signer} ({key})"
    for signer in dict.fromkeys(found["vouched_for"].values()):
        yield f"  {signer} vouches for {', '.join(name for name, its in found['vouched_for'].items() if its == signer)}"
    missing = found["results"] - len(found["vouched_for"])
    if keys and missing:
        yield f"  nobody vouches for {missing} of {found['results']} results"


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


Writer = Callable[[], Mapping[str, bytes]]
"""Makes files, by their paths below the results of the scale."""


def check_written(plan: Plan) -> list[Path]:
    """Compare what lies here of the files that are written from the receipts alone; returns their paths.

    Raises:
        UserError: names the first that says something else.
    """
    folder, found = RESULTS / plan.scale, []
    for verb, (names, writer) in _writers(plan).items():
        lying = [name for name in names if (folder / name).is_file()]
        made = writer() if lying else {}
        for name in lying:
            _compare(folder / name, made[name], verb)
            found.append(folder / name)
    return found


def _writers(plan: Plan) -> dict[str, tuple[list[str], Writer]]:
    """By verb, with what it takes, the files that it writes and how they come about; what is quick to make comes first."""
    judge = Judge()
    table = build(plan, judge)
    figures = [f"{stem}{suffix}" for stem in analyses.FIGURES for suffix in (".svg", ".png")]
    return {
        "table": (["table.csv", "table.md"], lambda: {"table.csv": csv_text(table).encode(), "table.md": markdown(table).encode()}),
        "transfers": (
            ["transfers.csv"],
            lambda: {"transfers.csv": transfers.csv_text(plan, transfers.build(plan, judge)).encode()},
        ),
        "shifts": (["shifts.csv"], lambda: {"shifts.csv": shifts.csv_text(plan, shifts.build(plan, judge, table)).encode()}),
        "adaptations": (
            ["adaptations.csv"],
            lambda: {"adaptations.csv": adaptations.csv_text(plan, adaptations.build(plan, judge)).encode()},
        ),
        "probes": (["probes.csv"], lambda: {"probes.csv": probes.csv_text(plan, probes.build(plan, judge, table)).encode()}),
        "analyses": (["analyses.csv", *figures], lambda: _analyses(plan, judge)),
        **{
            f"sweep --name {name}": ([f"sweeps/{name}{suffix}" for suffix in (".csv", ".svg", ".png")], _sweep(plan, judge, name))
            for name in plan.params.sweeps
        },
        "report": (["report.html"], lambda: {"report.html": render(plan).encode()}),
    }


def _analyses(plan: Plan, judge: Judge) -> dict[str, bytes]:
    found = analyses.build(plan, judge)
    return {"analyses.csv": analyses.csv_text(plan, found).encode(), **_drawn(lambda folder: analyses.draw(found, folder))}


def _sweep(plan: Plan, judge: Judge, name: str) -> Writer:
    def write() -> dict[str, bytes]:
        from dbot.report.sweeps import draw

        swept = sweeps.build(plan, judge, name)
        drawn = _drawn(lambda folder: draw(swept, folder / "sweeps" / name))
        return {f"sweeps/{name}.csv": sweeps.csv_text(swept, plan.scale).encode(), **drawn}

    return write


def _drawn(draw: Callable[[Path], object]) -> dict[str, bytes]:
    """The files of figures that are drawn into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def _compare(path: Path, made: bytes, verb: str) -> None:
    lies = path.read_bytes()
    if lies == made:
        return
    remedy = f"`dbot {verb} --scale {path.relative_to(RESULTS).parts[0]}` writes it anew"
    if path.suffix == ".png":
        raise UserError(f"{path}: is not the picture that the receipts give; {remedy}")
    here, given = lies.split(b"\n"), made.split(b"\n")
    for i, (line, expected) in enumerate(zip(here, given, strict=False), 1):
        if line != expected:
            what = f"row {expected.split(b',')[0].decode()}" if path.suffix == ".csv" and expected else "this line"
            raise UserError(f"{path}:{i}: {what} says something else than the receipts; {remedy}")
    raise UserError(f"{path}: has {len(here)} lines, the receipts give {len(given)}; {remedy}")
