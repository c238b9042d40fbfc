"""Sign receipts with an SSH key: those of some results and of all that is behind them, each once it is known to hold.

What has a signature already keeps it. Nothing of the key but its fingerprint is shown, and nothing of it is written.
"""

import argparse
from collections import Counter
from pathlib import Path

from dbot.base import git
from dbot.base.errors import UserError
from dbot.lineage import signature
from dbot.lineage.judge import Judge, check
from dbot.lineage.signature import NoProgram, NotVouched, UnknownKey
from dbot.lineage.target import jobs_at
from dbot.params.load import load
from dbot.plan import Job, Plan

ALL = "all"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        nargs="+",
        metavar="TARGET",
        help=f"a cell (B-B/cls, B-B/cls/seed0), a row, a receipt, or `{ALL}`: every result that is there",
    )
    parser.add_argument(
        "--key",
        metavar="FILE",
        help="SSH key: a private one, or a public one whose other half your agent holds (default: `git config user.signingkey`)",
    )
    parser.add_argument("--again", action="store_true", help="sign also what has a signature that holds")


def run(args: argparse.Namespace) -> None:
    plan = Plan(load(args.params, args.scale))
    allowed = Path(plan.params.signatures.allowed_signers)
    key = args.key or git.ask("config", "--type", "path", "user.signingkey")
    if not key:
        raise UserError("no key to sign with; name one with --key, or set it: `git config user.signingkey ~/.ssh/id_ed25519.pub`")
    jobs, judge = plan.jobs(_named(plan, args.target)), Judge()
    for job in jobs:
        check(judge.of(job))
    wanted, had = [], Counter[str]()
    for job in jobs:
        signer = None if args.again else _signer(job.receipt, allowed)
        if signer is None:
            wanted.append(job)
        else:
            had[signer] += 1
    if wanted:
        signature.sign([job.receipt for job in wanted], key)
        _say([job.name for job in wanted], wanted[-1].receipt, allowed)
    for signer, count in had.items():
        print(f"{count} had a signature already, by {signer}; --again replaces it")


def _say(names: list[str], last: Path, allowed: Path) -> None:
    """What was signed, and by whom `dbot verify` will say that it was."""
    what = names[0] if len(names) == 1 else f"{names[-1]} and {len(names) - 1} receipts more"
    try:
        made = signature.verify(last, allowed)
        print(f"signed {what}, as {made.signer} ({made.key})")
    except NotVouched as refused:
        print(f"signed {what}; but this key counts for nothing yet: {refused}")


def _named(plan: Plan, targets: list[str]) -> list[Job]:
    """The jobs that are named.

    Raises:
        UserError: there is none.
    """
    jobs = [job for target in targets if target != ALL for job in jobs_at(plan, target)]
    if ALL in targets:
        jobs += [job for job in plan.targets() if job.receipt.exists()]
    if not jobs:
        raise UserError(f"results/{plan.scale}: no result has a receipt yet; run `snakemake --config scale={plan.scale}`")
    return jobs


def _signer(receipt: Path, allowed: Path) -> str | None:
    """Who signed a receipt, or with which key where nobody knows whose it is; None where it has no signature that could count."""
    try:
        return signature.verify(receipt, allowed).signer
    except UnknownKey as unknown:
        return unknown.key
    except NoProgram:
        raise
    except UserError:
        return None
