"""Measure what a frozen network's features hold: k-NN and a linear classifier, trained on train, measured on validation."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--stage", required=True, type=int, help="after which stage; 0: the row's first teacher")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--student", type=Path, metavar="RECEIPT", help="receipt of the stage whose student is probed")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.tasks.features import by_teacher
    from dbot.tasks.probe import probe
    from dbot.verbs.network import frozen_network
    from dbot.verbs.training import training

    with training(args, "probe", row=args.row, stage=str(args.stage)) as job:
        figures, every = job.plan.params.probes, job.plan.params.execution.progress_every_seconds
        network = frozen_network(job, args.row, args.stage, figures.image_size).to(job.processes.device)
        describer = by_teacher(network, figures.pooling)
        metrics = probe(describer, figures, job.manifest, job.processes, job.batch_per_process, every)
        job.save_metrics(metrics)
        if job.processes.leads:
            print(f"probe {args.row} stage {args.stage}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        job.finish({**metrics, "network_sha256": network.digest()})
