"""Train one stage of distillation: the student regresses the teacher's features at the masked tokens."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbot.distill.boundary import Promoted
    from dbot.models.teachers.teacher import Teacher
    from dbot.params.teachers import RandomTeacher
    from dbot.verbs.training import TrainingJob


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--stage", required=True, type=int, help="which stage, from 1")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--teacher", type=Path, metavar="RECEIPT", help="receipt of the stage whose student is the teacher")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes: its planned place, which is the default")


def run(args: argparse.Namespace) -> None:
    from dbot.distill.boundary import begin_stage
    from dbot.models import checkpoint
    from dbot.params.teachers import RowTeacher
    from dbot.tasks.monitor import monitor
    from dbot.tasks.pretrain import pretrain_task
    from dbot.train.optimizer import moments
    from dbot.verbs.training import training

    with training(args, "distill", row=args.row, stage=str(args.stage)) as job:
        params, row = job.plan.params, job.plan.params.rows[args.row]
        architecture, recipe = params.architectures[row.architecture], params.recipes.pretrain[row.recipe].of_stage(args.stage)
        source, kept = _source(job, args.row, recipe.target.final_norm), None
        if args.stage > 1 and recipe.boundary.keep_optimizer:
            kept, _ = checkpoint.load(job.run.artifact("teacher", "optimizer.safetensors"))
        student, teacher = begin_stage(architecture, recipe, args.stage, source, params.normalisation)
        from_elsewhere = args.stage == 1 and not isinstance(params.teacher_of(row), RowTeacher)
        identity = {"teacher_sha256": teacher.digest()} if from_elsewhere else {}
        teacher.to(job.processes.device)
        title = f"distill {args.row} stage {args.stage}"
        statistics, watched = params.normalisation, None
        if recipe.monitor is not None:
            seed, batch = recipe.seed, job.batch_per_process
            watched = monitor(recipe.monitor, recipe.precision, seed, job.manifest, statistics, job.processes, batch)
        task = pretrain_task(title, student, teacher, recipe, args.stage, job.manifest, statistics, kept, watched)
        outcome = job.train(task)

        about = {
            "kind": "student",
            "row": args.row,
            "stage": args.stage,
            "design": recipe.design,
            "architecture": architecture.model_dump(),
            "recipe": recipe.model_dump(exclude={"monitor"}),
        }
        job.save("student.safetensors", student.state_dict(), about)
        if recipe.boundary.keep_optimizer:
            job.save("optimizer.safetensors", moments(outcome.optimizer), {"kind": "optimizer"})
        results = {"loss": outcome.history[-1]["loss"], "epochs": recipe.epochs, "steps": outcome.steps}
        job.finish({**results, **identity})


def _source(job: "TrainingJob", row: str, final_norm: bool) -> "RandomTeacher | Promoted | Teacher":
    """Where the stage's teacher comes from: a student among the inputs, or what the row's teacher declares."""
    from dbot.models.teachers.declared import foreign_teacher
    from dbot.params.teachers import RandomTeacher, RowTeacher
    from dbot.verbs.network import left_behind

    if "teacher" in job.run.inputs:
        return left_behind(job.run, "teacher", row)
    params = job.plan.params
    declared = params.teacher_of(params.rows[row])
    assert not isinstance(declared, RowTeacher), "its student is an input"
    return declared if isinstance(declared, RandomTeacher) else foreign_teacher(declared, final_norm, params.normalisation)
