"""Compare two rows' students, layer by layer: linear CKA of their tokens."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--other", required=True, help="another row whose student has as many patches")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--student", type=Path, metavar="RECEIPT", help="receipt of the row's student")
    parser.add_argument("--second", type=Path, metavar="RECEIPT", help="receipt of the other row's student")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.analyse.figures import draw_similarity
    from dbot.analyse.properties import write_similarity
    from dbot.plan import SIMILARITY
    from dbot.tasks.analyse import compare
    from dbot.verbs.network import student_network
    from dbot.verbs.training import training

    with training(args, "compare", row=args.row, other=args.other) as job:
        params = job.plan.params
        first, second = student_network(job, args.row, "student"), student_network(job, args.other, "second")
        every = params.execution.progress_every_seconds
        found = compare(first, second, params.analysis, job.manifest, job.processes, job.batch_per_process, every)
        metrics = {"cka_last_layer": found.cka[-1][-1], "cka_first_layer": found.cka[0][0]}
        if job.processes.leads:
            folder = job.run.job.folder
            write_similarity(folder / SIMILARITY[0], found)
            draw_similarity(found, args.row, args.other, folder / Path(SIMILARITY[0]).stem)
            print(f"compare {args.row} {args.other}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        job.artifacts += SIMILARITY
        job.save_metrics(metrics)
        job.finish(metrics)
