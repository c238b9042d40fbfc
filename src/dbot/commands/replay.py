"""Do a training step again that was not finite, from the file that its job left, and say what is not finite."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dbot.base.errors import UserError

if TYPE_CHECKING:
    from dbot.train.incident import Incident
    from dbot.train.replay import Replayed


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", type=Path, metavar="FILE", help="incident-step-<number>.json in the job's state folder")


def run(args: argparse.Namespace) -> None:
    from dbot.commands.training import training
    from dbot.jobs.kind import Training
    from dbot.lineage.incident import read
    from dbot.params.load import load
    from dbot.plan import Plan

    record = read(args.incident)
    incident = record.incident(args.incident.parent)
    plan = Plan(load(args.params, record.scale))
    job = plan.job(record.verb, **record.key)
    if not isinstance(job.kind, Training):
        raise UserError(f"{args.incident}: {record.verb} did not train anything")
    inputs = {role: needed.receipt for role, needed in job.inputs.items()}
    with training(plan, job, inputs, replayed=args.incident.parent) as running:
        _say(running.replay(job.kind.build(running).task, incident), incident, record.paths)


def _say(found: "Replayed", incident: "Incident", paths: dict[str, str]) -> None:
    begins = f"the state in {incident.state}" if incident.state is not None else "the first weights"
    print(f"step {incident.step + 1} (epoch {incident.epoch}), replayed from {begins}:")
    print(f"  loss {found.loss:.6g}" + (f" (by pass: {', '.join(f'{loss:.6g}' for loss in found.losses)})" if found.losses[1:] else ""))
    print(f"  gradient norm {found.gradient_norm:.6g}")
    print(f"  first module with an output that is not finite: {found.first or 'none'}")
    weights = f"{len(found.weights)} tensors are not, first {found.weights[0]}" if found.weights else "all finite"
    print(f"  weights before the step: {weights}")
    print(f"  images of the batch, {len(incident.images)}{', those that are not finite first' if found.images else ''}:")
    for epoch, number in sorted(incident.images, key=lambda image: image not in found.images):
        odd = "  not finite" if (epoch, number) in found.images else ""
        print(f"    {number:>8}  {paths.get(str(number), '')}{odd}")
    if found.is_finite:
        print("  everything is finite this time: it is not the machine, device or code that the step went wrong with")
