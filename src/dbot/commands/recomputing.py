"""What `dbot verify --recompute` says and does."""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dbot.base import durations
from dbot.base.errors import UserError
from dbot.lineage import receipt as receipts
from dbot.lineage.executions import execution_of
from dbot.lineage.recompute import Failed, Recomputed, Tolerance, check_scratch, drop, recompute, sample
from dbot.lineage.target import jobs_at
from dbot.plan import Job, Plan

SEEDS = 2**32


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recompute",
        action="append",
        default=[],
        metavar="CELL|N",
        help="then do its job again in a scratch folder, from its inputs as they are, and compare: of a cell, a row, a receipt, "
        "or of N jobs drawn from all that are verified",
    )
    parser.add_argument(
        "--behind", action="store_true", help="with --recompute CELL: all jobs behind it too, each from its inputs on record"
    )
    parser.add_argument("--seed", type=int, metavar="SEED", help="that the N jobs are drawn with (default: another each time; it is said)")
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="SHARE",
        help=f"how far findings from a GPU that is not deterministic may be apart, relative to them (default: {Tolerance.findings}); "
        "given, another device than the receipt's is compared so too",
    )
    parser.add_argument(
        "--weights-tolerance",
        type=float,
        metavar="SHARE",
        help=f"the same of checkpoints, relative to their norm (default: {Tolerance.weights})",
    )
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where jobs are done again (default: the system's temporary folder)")


def check_flags(args: argparse.Namespace) -> None:
    """Refuse flags that would do nothing.

    Raises:
        UserError: names the first.
    """
    numbers = [int(what) for what in args.recompute if what.isdecimal()]
    tolerances = {"--tolerance": args.tolerance, "--weights-tolerance": args.weights_tolerance}
    given = {"--behind": args.behind or None, "--seed": args.seed, "--scratch": args.scratch, **tolerances}
    if not args.recompute and (flag := next((flag for flag, value in given.items() if value is not None), None)):
        raise UserError(f"{flag} says how jobs are done again, and none are; add --recompute CELL or --recompute N")
    if args.seed is not None and not numbers:
        raise UserError("--seed draws jobs, and none are drawn; add --recompute N, or leave it out")
    if args.behind and len(numbers) == len(args.recompute):
        raise UserError("--behind is of a cell, and only a number of jobs is named; add --recompute CELL, or leave it out")
    if 0 in numbers:
        raise UserError("--recompute is 0: no job would be done again; name 1 or more")
    if flag := next((flag for flag, value in tolerances.items() if value is not None and not value >= 0), None):
        raise UserError(f"{flag} is {tolerances[flag]:g}: must be at least 0")


def targets(plan: Plan, args: argparse.Namespace) -> list[Job]:
    """The jobs that are named to be done again."""
    return [job for what in args.recompute if not what.isdecimal() for job in jobs_at(plan, what)]


def run(plan: Plan, args: argparse.Namespace, verified: Sequence[Job]) -> dict[str, Any]:
    """Do jobs again and compare.

    Args:
        plan: of the scale.
        args: what the command line says.
        verified: the jobs whose receipts were found to hold.

    Raises:
        UserError: a line for each job that gives something else, or can't be done again; the others are done all the same.
    """
    named = targets(plan, args)
    jobs = {job.name: job for job in (plan.jobs(named) if args.behind else named)}
    seed = random.SystemRandom().randrange(SEEDS) if args.seed is None else args.seed
    numbers = [int(what) for what in args.recompute if what.isdecimal()]
    if numbers:
        jobs |= {job.name: job for job in sample(verified, sum(numbers), seed)}
    scratch = args.scratch or Path(tempfile.gettempdir())
    check_scratch(scratch)
    across = args.tolerance is not None
    weights = Tolerance.weights if args.weights_tolerance is None else args.weights_tolerance
    tolerance = Tolerance(args.tolerance if across else Tolerance.findings, weights)
    found, problems = [], []
    for job in jobs.values():
        took = execution_of(job.receipt, receipts.read(job.receipt).id).seconds
        print(f"computing {job.name} anew (it took {durations.exact(took)} before)", file=sys.stderr, flush=True)
        folder, keep = Path(tempfile.mkdtemp(prefix="dbot-recompute-", dir=scratch)).resolve(), False
        try:
            one = recompute(plan, job, folder, tolerance, across)
            found.append(one)
            if one.differences:
                said, keep = "; ".join((", ".join(one.differences), *one.notes)), True
                problems.append(f"{job.receipt}: computed anew it gives something else: {said}; what it gives lies in {folder}")
        except Failed as error:
            keep = True
            problems += error.problems
        except UserError as error:
            problems += error.problems
        finally:
            if not keep:
                drop(folder)
    if problems:
        raise UserError(*problems)
    return {"seed": seed if numbers else None, "tolerance": vars(tolerance), "jobs": [vars(one) for one in found]}


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What a person is told of it."""
    jobs = [Recomputed(**one) for one in found["jobs"]]
    drawn = f", drawn with --seed {found['seed']}" if found["seed"] is not None else ""
    yield f"  {len(jobs)} job{'s' * (len(jobs) != 1)} computed anew{drawn}:"
    for job in jobs:
        how = "the same, bit for bit"
        if not job.exact:
            apart = ", ".join(f"{what} {far:.2g}" for what, far in job.farthest.items()) or "nothing"
            allowed = ", ".join(f"{what} {far:g}" for what, far in found["tolerance"].items())
            how = f"within the tolerance ({allowed}); farthest apart: {apart}"
        yield f"    {job.job}: {job.compared} files and findings, {how}{''.join(f'; {note}' for note in job.notes)}"
