"""Do one job of any kind: its flags are those of its key and its inputs."""

import argparse
from pathlib import Path

from dbot.base.files import as_output
from dbot.jobs.kind import Kind, Measurement, Preparation, Training
from dbot.params.load import load
from dbot.plan import Plan
from dbot.versioning.pointer import refuse_links


def arguments(parser: argparse.ArgumentParser, kind: Kind) -> None:
    for key in kind.key:
        parser.add_argument(
            f"--{key.name}",
            required=True,
            type=int if key.number else str,
            choices=key.choices,
            metavar=key.metavar,
            help=key.help,
        )
    for each in kind.inputs:
        parser.add_argument(f"--{each.role}", type=Path, metavar="RECEIPT", help=each.help)
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace, kind: Kind) -> None:
    plan = Plan(load(args.params, args.scale))
    job = plan.job(kind, **{key.name: getattr(args, key.name) for key in kind.key})
    refuse_links(job.folder)
    as_output(job.folder)  # not found out after hours of work
    inputs = {role: getattr(args, role) or needed.receipt for role, needed in job.inputs.items()}
    if isinstance(kind, Preparation):
        from dbot.commands.preparing import preparing

        with preparing(plan, job, inputs, args.receipt) as context:
            kind.run(context)
    else:
        assert isinstance(kind, Training | Measurement)
        from dbot.commands.training import training

        with training(plan, job, inputs, args.receipt) as running:
            kind.run(running)
