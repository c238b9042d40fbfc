"""Draw an embedded data set: real digits on real photographs, in the layout of the real sets."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, help="a data set of params.yaml that has `embedded`")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.base.digest import table_digest, tree_table
    from dbot.base.files import whole_folder, write_whole
    from dbot.data.embedded.draw import draw
    from dbot.lineage.session import Session
    from dbot.params.load import load
    from dbot.plan import Plan

    plan = Plan(load(args.params, args.scale))
    job = plan.generate(args.dataset)
    dataset = plan.params.datasets[args.dataset]
    assert dataset.root is not None, "what is drawn has a root"
    root = Path(dataset.root)
    with Session(job, receipt=args.receipt) as execution:
        with whole_folder(root, "GENERATED") as folder:
            counts = draw(args.dataset, dataset, folder)
        table = tree_table(root)
        write_whole(job.folder / "files.tsv", table)
        execution.finish(["files.tsv"], {"digest": table_digest(table), **counts})
    print(f"generate {args.dataset}: {counts['train']} training and {counts['validation']} validation images in {root}")
