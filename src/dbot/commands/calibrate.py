"""Measure how fast this machine trains each kind of job of a scale, for `dbot forecast`."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="*", metavar="TARGET", help="whose jobs: a target of the workflow, as row_B-B (default: all)")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each kind is measured, at least (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="where (default: results/<scale>/calibration.json); what is there stays"
    )


def run(args: argparse.Namespace) -> None:
    import tempfile

    from torch import OutOfMemoryError

    from dbot.base.errors import UserError
    from dbot.commands.rehearsal import Rehearsal
    from dbot.forecast import calibration
    from dbot.forecast.calibration import Measured
    from dbot.forecast.work import Works, jobs_of, kinds
    from dbot.lineage.surroundings import now
    from dbot.params.load import load
    from dbot.plan import CALIBRATE, Plan
    from dbot.tasks.throughput import throughput
    from dbot.train.distributed import processes

    if args.seconds <= 0:
        raise UserError(f"--seconds is {args.seconds:g}: must be more than 0")
    plan = Plan(load(args.params, args.scale))
    output = args.output or calibration.place(plan.scale)
    earlier = calibration.read(output)
    execution = plan.params.execution
    works, squares = Works(plan), Works(plan, aspect=1.0)
    found: list[Measured] = []
    with processes(execution.device, plan.asked(CALIBRATE).threads or 1) as alone, tempfile.TemporaryDirectory() as folder:
        if alone.world > 1:
            raise UserError("`dbot calibrate` measures one process; start it without torchrun")
        rehearsal = Rehearsal(plan, Path(folder), alone)
        for kind, job in kinds(works, plan.jobs(jobs_of(plan, args.target))).items():
            # What was drawn is square; FLOPs are those of the images that it is measured on.
            work, batch = squares.of(job), plan.resources(job).batch
            try:
                pace = throughput(rehearsal.task(job), alone, execution, batch, args.seconds)
            except (UserError, MemoryError, OutOfMemoryError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                print(f"{job.name}: not measured ({reason})", flush=True)
                continue
            flops = work.training.flops.total if work.training is not None else 0.0
            measured = Measured(
                kind=kind,
                verb=job.verb,
                job=job.name,
                device=alone.device_name,
                date=now(),
                batch=pace.batch,
                processes=alone.world,
                images_per_second=float(f"{pace.images_per_second:.5g}"),
                data_wait=round(pace.data_wait, 4),
                flops_per_image=flops,
                left_out=list(work.left_out),
                peak_memory_gb=None if pace.peak_memory_gb is None else round(pace.peak_memory_gb, 2),
            )
            found.append(measured)
            calibration.write(calibration.merged(earlier, found), output)
            print(calibration.said(measured), flush=True)
    if not found:
        raise UserError("no kind of training could be measured; the lines above say why")
    print(f"wrote {output}: {len(found)} kinds of training measured on {found[0].device}")
