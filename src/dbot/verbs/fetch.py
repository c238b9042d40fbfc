"""Fetch weights that others released, and write them as a checkpoint of ours, for rows that start from them."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--released", required=True, metavar="FILE", help="a file of params.yaml, under released.files")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.base.digest import file_digest
    from dbot.data.released import locate
    from dbot.lineage.session import Session, place
    from dbot.models import checkpoint
    from dbot.models.released.take_over import take_over
    from dbot.params.load import load
    from dbot.plan import STUDENT, Plan
    from dbot.versioning.keep import keep_at_once

    plan = Plan(load(args.params, args.scale))
    job = plan.fetch(args.released)
    declared = plan.params.released.files[args.released]
    architecture = plan.params.architectures[plan.params.rows[declared.row].architecture]
    name = STUDENT[job.verb]
    with Session(job, receipt=args.receipt) as execution:
        path = locate(declared, plan.params.released.weights_folder)
        digest = file_digest(path)
        weights, about = take_over(path, declared.layout, architecture)
        about |= {"released": args.released, "row": declared.row, "source": {"file": declared.file, "sha256": digest}}
        checkpoint.save(execution.state / name, weights, about)
        place(execution.state / name, job.folder / name)
        execution.finish([name], {"sha256": digest, "bytes": path.stat().st_size, "tensors": len(weights)})
    keep_at_once(job)
    known = "as declared" if declared.sha256 else "not declared, so noted only"
    print(f"fetch {args.released}: {about['kind']} of {len(weights)} tensors from {path} (SHA-256 {digest[:12]}…, {known})")
