"""Say of every row and cell how it stands: built, absent, not run, failed, stale (and what changed), broken or running."""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from dbot.jobs.evaluate import EVALUATE
from dbot.lineage.judge import Judge, Standing, State
from dbot.lineage.target import jobs_at
from dbot.params.load import load
from dbot.params.rows import COLUMNS
from dbot.plan import Job, Plan

MANY = 6
"""Missing jobs beyond which they are counted and not named."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="*", metavar="TARGET", help="a row (B-B), a cell (B-B/cls), a receipt or a file of a job (default: what is built)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="to read, or all that is known of each job")


def run(args: argparse.Namespace) -> None:
    plan, judge = Plan(load(args.params, args.scale)), Judge()
    wanted = [job for target in args.target for job in jobs_at(plan, target)] or plan.targets()
    results = [judge.of(job) for job in {each.name: each for each in wanted}.values()]
    jobs = [judge.of(job) for job in plan.jobs(wanted)]
    print(json.dumps(_document(plan, results, jobs), indent=1) if args.format == "json" else "\n".join(_lines(plan, results, jobs)))


def _lines(plan: Plan, results: list[Standing], jobs: list[Standing]) -> Iterator[str]:
    counts = Counter(result.state for result in results)
    told = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    yield f"scale {plan.scale}, {len(results)} result{'s' * (len(results) != 1)}: {told}"
    yield ""
    yield from _table([result for result in results if result.job.kind is EVALUATE])
    yield from _others([result for result in results if result.job.kind is not EVALUATE])
    yield from _reasons(results, jobs)
    yield from _code(jobs)


def _table(cells: list[Standing]) -> Iterator[str]:
    """Rows against columns; of several seeds the worst, and how many are built."""
    rows: dict[str, dict[str, list[Standing]]] = {}
    for cell in cells:
        rows.setdefault(cell.job.key["row"], {}).setdefault(cell.job.key["column"], []).append(cell)
    columns = [column for column in COLUMNS if any(column in row for row in rows.values())]
    if not rows:
        return
    shown = [["row", *columns], *([name, *(_cell(row.get(column, [])) for column in columns)] for name, row in rows.items())]
    widths = [max(len(line[i]) for line in shown) for i in range(len(columns) + 1)]
    for line in shown:
        yield "  ".join(f"{text:{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
    yield ""


def _cell(seeds: list[Standing]) -> str:
    if not seeds:
        return "-"
    order = list(State)
    worst = max((seed.state for seed in seeds), key=order.index)
    built = sum(seed.state is State.BUILT for seed in seeds)
    return str(worst) if built in (0, len(seeds)) else f"{worst} ({built} of {len(seeds)} seeds built)"


def _others(results: list[Standing]) -> Iterator[str]:
    """The evidence beside the table, by verb."""
    verbs: dict[str, Counter[State]] = {}
    for result in results:
        verbs.setdefault(result.job.verb, Counter())[result.state] += 1
    for verb, counts in verbs.items():
        yield f"{verb}: " + ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    if results:
        yield ""


def _reasons(results: list[Standing], jobs: list[Standing]) -> Iterator[str]:
    """What keeps results from being built: the jobs where it begins."""
    wide = max(map(len, State))
    for state in (State.RUNNING, State.FAILED, State.BROKEN, State.STALE, State.ABSENT):
        for each in jobs:
            if each.own is state:
                kinds = f"{' and '.join(each.changed)}: " if each.changed else ""
                yield f"{state:{wide}}  {each.job.name}: {kinds}{'; '.join(each.reasons)}{_behind(results, each)}"
    missing = [each for each in jobs if each.own is State.NOT_RUN]
    begun = [each for each in missing if each.reasons]
    for each in missing if len(missing) <= MANY else begun:
        yield f"{State.NOT_RUN:{wide}}  {': '.join((each.job.name, *each.reasons))}"
    if len(missing) > MANY:
        verbs = Counter(each.job.verb for each in missing)
        yield f"{State.NOT_RUN:{wide}}  {len(missing)} jobs: {', '.join(f'{n} {verb}' for verb, n in verbs.items())}"


def _behind(results: list[Standing], each: Standing) -> str:
    """Which results wait for a job, unless it is one itself."""
    names = [_short(result.job) for result in results if result is not each and any(found is each for found in result.lineage())]
    return f"  (behind {', '.join(names[:MANY])}{', …' if len(names) > MANY else ''})" if names else ""


def _short(job: Job) -> str:
    return f"{job.key['row']}/{job.key['column']}" if job.kind is EVALUATE else job.name


def _code(jobs: list[Standing]) -> Iterator[str]:
    """Other code is no reason to run anything again: the workflow goes by parameters and inputs. It is said, and that is all."""
    others = [each for each in jobs if each.by_other_code]
    if others:
        commits = dict.fromkeys(each.execution.commit[:12] for each in others if each.execution is not None and each.execution.commit)
        done = sum(each.receipt is not None for each in jobs)
        yield f"code     {len(others)} of {done} receipts are by other code than lies here now, which makes none of them stale"
        for commit in list(commits)[:MANY]:
            yield f"         git diff {commit} -- src    # what has changed since"


def _document(plan: Plan, results: list[Standing], jobs: list[Standing]) -> dict[str, Any]:
    return {
        "scale": plan.scale,
        "results": [
            {
                "name": result.job.name,
                "key": dict(result.job.key),
                "state": result.state,
                "jobs": [each.name for each in plan.jobs([result.job])],
            }
            for result in results
        ],
        "jobs": {each.job.name: _job(each) for each in jobs},
    }


def _job(each: Standing) -> dict[str, Any]:
    begun, receipt = each.underway, each.receipt
    return {
        "state": each.own,
        "changed": list(each.changed),
        "reasons": list(each.reasons),
        "receipt": receipt.id if receipt is not None else None,
        "path": each.job.receipt.as_posix(),
        "by_other_code": each.by_other_code,
        "underway": None
        if begun is None
        else {
            "running": begun.running,
            "host": begun.host,
            "seen": begun.seen,
            "epoch": begun.epoch,
            "epochs": begun.epochs,
            "loss": begun.loss,
        },
    }
