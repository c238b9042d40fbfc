"""Check a data set (layout, counts, every image) and write its manifest, before any GPU hour is spent."""

import argparse
from pathlib import Path

COPIES = Path("data/prepared")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, help="a data set of params.yaml")
    parser.add_argument(
        "--generated", type=Path, metavar="RECEIPT", help="receipt of `dbot generate`, for an embedded data set (default: the planned one)"
    )
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.base.digest import table_digest, tree_table
    from dbot.base.errors import UserError
    from dbot.data.prepare import prepare
    from dbot.lineage.session import Session
    from dbot.params.load import load
    from dbot.plan import Plan

    plan = Plan(load(args.params, args.scale))
    job = plan.prepare(args.dataset)
    dataset = plan.params.datasets[args.dataset]
    inputs = {role: args.generated or needed.receipt for role, needed in job.inputs.items()}
    with Session(job, inputs, receipt=args.receipt) as execution:
        if "generated" in execution.inputs:
            drawn = execution.inputs["generated"].results["digest"]
            assert dataset.root is not None, "what is drawn has a root"
            if table_digest(tree_table(Path(dataset.root))) != drawn:
                again = job.inputs["generated"].command
                raise UserError(f"{dataset.root}: is not what {inputs['generated']} says was drawn there; draw it again: {again}")
        threads = plan.resources(job).threads or 1
        every = plan.params.execution.progress_every_seconds
        manifest = prepare(args.dataset, dataset, job.folder, COPIES / plan.scale / args.dataset, threads, every)
        execution.finish(
            ["manifest.json", "samples.tsv"],
            {
                "digest": manifest.digest,
                **manifest.counts,
                "classes": len(manifest.classes),
                "unreadable": len(manifest.unreadable),
                "defects": sum(manifest.defects.values()),
            },
        )
    counts, left_out = manifest.counts, f", {len(manifest.unreadable)} left out" if manifest.unreadable else ""
    if manifest.defects:
        left_out += "; left out for their annotations: " + ", ".join(f"{count} x {kind}" for kind, count in manifest.defects.items())
    images = f"{counts['train']} training and {counts['validation']} validation images of {len(manifest.classes)} classes"
    print(f"prepare {args.dataset}: {images} in {manifest.root}{left_out}")
