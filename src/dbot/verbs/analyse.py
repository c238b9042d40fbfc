"""Measure the insides of a frozen network: how far each head attends, how varied each layer's tokens are."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--stage", required=True, type=int, help="after which stage; 0: the row's first teacher")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--student", type=Path, metavar="RECEIPT", help="receipt of the stage whose student is analysed")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.analyse.properties import DISTANCES, SHARES, write_properties
    from dbot.tasks.analyse import analyse, summary
    from dbot.verbs.network import frozen_network
    from dbot.verbs.training import training

    with training(args, "analyse", row=args.row, stage=str(args.stage)) as job:
        figures, every = job.plan.params.analysis, job.plan.params.execution.progress_every_seconds
        network = frozen_network(job, args.row, args.stage)
        found = analyse(network, figures, job.manifest, job.processes, job.batch_per_process, every)
        metrics = summary(found)
        if job.processes.leads:
            write_properties(job.run.job.folder, found)
            print(f"analyse {args.row} stage {args.stage}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        job.artifacts += [DISTANCES, SHARES]
        job.save_metrics(metrics)
        job.finish({**metrics, "network_sha256": network.digest()})
