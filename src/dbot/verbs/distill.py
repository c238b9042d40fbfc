"""Train one stage of distillation: the student regresses the teacher's features at the masked tokens."""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--row", required=True, help="row of the table")
    parser.add_argument("--stage", required=True, type=int, help="which stage, from 1")
    parser.add_argument("--data", type=Path, metavar="RECEIPT", help="receipt of the prepared data (default: the planned one)")
    parser.add_argument("--teacher", type=Path, metavar="RECEIPT", help="receipt of the stage whose student is the teacher")
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="where the receipt goes (default: the planned place)")


def run(args: argparse.Namespace) -> None:
    from dbot.distill.boundary import Promoted, begin_stage
    from dbot.models import checkpoint
    from dbot.models.timm_form import design_of
    from dbot.models.timm_teacher import TimmPixelTeacher
    from dbot.params.architectures import Architecture
    from dbot.params.teachers import RandomTeacher, TimmTeacher
    from dbot.plan import STUDENT
    from dbot.tasks.monitor import monitor
    from dbot.tasks.pretrain import pretrain_task
    from dbot.train.optimizer import moments
    from dbot.verbs.training import training

    with training(args, "distill", row=args.row, stage=str(args.stage)) as job:
        params, row = job.plan.params, job.plan.params.rows[args.row]
        architecture, recipe = params.architectures[row.architecture], params.recipes.pretrain[row.pretrain]
        promoted, same_row = None, False
        if "teacher" in job.run.inputs:
            source = job.run.inputs["teacher"].identity
            weights, about = checkpoint.load(job.run.artifact("teacher", STUDENT[source.verb]))
            promoted = Promoted(weights, Architecture.model_validate(about["architecture"]), design=design_of(about))
            same_row = source.key.get("row") == args.row
        kept = None
        if same_row and recipe.boundary.keep_optimizer:
            kept, _ = checkpoint.load(job.run.artifact("teacher", "optimizer.safetensors"))
        declared = params.teachers[row.teacher]
        random = declared if isinstance(declared, RandomTeacher) else None
        foreign = TimmPixelTeacher(declared, recipe.target.final_norm) if isinstance(declared, TimmTeacher) and promoted is None else None
        student, teacher = begin_stage(architecture, recipe, args.stage, random, promoted, same_row, foreign)
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
        job.finish({"loss": outcome.history[-1]["loss"], "epochs": recipe.epochs, "steps": outcome.steps})
