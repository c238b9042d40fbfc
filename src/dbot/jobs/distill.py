"""One stage of a row's distillation; and where a row's student comes from."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dbot.base.disk import patiently
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.flops import Flops, Frozen, foreign_teacher, random_teacher, student_teacher, student_weights
from dbot.flops import student as student_cost
from dbot.jobs.experiment import Experiment, whole_number
from dbot.jobs.fetch import FETCH
from dbot.jobs.kind import DATA, METRICS, ROW, Beginning, Begun, Input, Job, Key, Model, Running, Training
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import BYTES, MOMENTS, Estimate, Work
from dbot.memory import of_student
from dbot.params.document import Params
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.teachers import RandomTeacher, RowTeacher

if TYPE_CHECKING:
    from dbot.distill.boundary import Promoted
    from dbot.models.teachers.teacher import Teacher

STUDENT = "student.safetensors"
OPTIMIZER = "optimizer.safetensors"
"""The optimizer's moments, where the recipe's boundary keeps them for the next stage."""
METHOD = "method.png"
"""What the student sees of one image, its tokens beside the teacher's, and the loss."""


class Distill(Training):
    """Train one stage of distillation: the student regresses the teacher's features at the masked tokens."""

    name = "distill"
    title = "train one stage of distillation"
    order = 40
    key = (ROW, Key("stage", "which stage, from 1", number=True))
    inputs = (DATA, Input("teacher", "receipt of the stage whose student is the teacher"))
    start = STUDENT
    exported = STUDENT
    pictures = (METHOD,)

    def declare(self, experiment: Experiment, row: str, stage: str | int) -> Job:
        params, declared = experiment.params, experiment.row(row)
        number = whole_number("stage", stage)
        if not 1 <= number <= declared.last_stage:
            raise UserError(f"row {row} has {declared.last_stage} stages of distillation; there is no stage {number}")
        if declared.chain is not None:
            return self.declare(experiment, declared.chain, number)
        recipe = params.recipes.pretrain[declared.recipe].of_stage(number).model_dump(exclude={"monitor"})
        inputs = {"data": PREPARE.declare(experiment, params.uses.pretrain)}
        settings, sources = experiment.of_recipe(declared, "pretrain", recipe)
        settings["stage"] = number
        if number > 1:
            inputs["teacher"] = self.declare(experiment, row, number - 1)
        else:
            settings["teacher"], where = experiment.of_teacher(str(declared.teacher))
            sources += where
            teacher = params.teacher_of(declared)
            if isinstance(teacher, RowTeacher):
                last = params.rows[teacher.row].last_stage
                inputs["teacher"] = student(experiment, teacher.row, last if teacher.stage == "last" else teacher.stage)
        kept = (OPTIMIZER,) if recipe["boundary"]["keep_optimizer"] else ()
        key = {"row": row, "stage": str(number)}
        return Job(self, experiment.scale, key, inputs, settings, tuple(sources), (STUDENT, *kept, METRICS), declared.architecture)

    def reads(self, job: Job, role: str) -> tuple[str, ...]:
        optimizer = (OPTIMIZER,) if OPTIMIZER in job.inputs[role].artifacts else ()
        return (*super().reads(job, role), *optimizer)

    def build(self, given: Beginning) -> Begun:
        from dbot.distill.boundary import begin_stage
        from dbot.pictures.method import method_picture
        from dbot.tasks.method import one_image
        from dbot.tasks.monitor import monitor
        from dbot.tasks.pretrain import pretrain_task, settle

        params, row, stage = given.params, given.job.key["row"], int(given.job.key["stage"])
        architecture, recipe = params.architectures[params.rows[row].architecture], self._recipe(given.job, params)
        source, kept = self._source(given, recipe.target.final_norm), None
        if stage > 1 and recipe.boundary.keep_optimizer:
            kept = given.checkpoint("teacher", OPTIMIZER)
        made, teacher = begin_stage(architecture, recipe, stage, source, params.normalisation)
        teacher_sha256 = teacher.digest() if "teacher" not in given.job.inputs else None
        settle(teacher, recipe, given.processes.device)
        statistics, watched = params.normalisation, None
        if recipe.monitor is not None:
            seed, batch = recipe.seed, given.batch_per_process
            watched = monitor(recipe.monitor, recipe.precision, seed, given.manifest, statistics, given.processes, batch)
        moments = None if kept is None else kept.weights
        task = pretrain_task(f"distill {row} stage {stage}", made, teacher, recipe, stage, given.manifest, statistics, moments, watched)
        about = {
            "kind": "student",
            "row": row,
            "stage": stage,
            "design": recipe.design,
            "architecture": architecture.model_dump(),
            "recipe": recipe.model_dump(exclude={"monitor"}),
        }

        def picture() -> bytes:
            return method_picture(one_image(made, teacher, recipe, given.manifest, statistics, given.processes.device))

        return Begun(task, made, about, {} if teacher_sha256 is None else {"teacher_sha256": teacher_sha256}, picture)

    def run(self, context: Running) -> None:
        from dbot.train.optimizer import moments

        recipe = self._recipe(context.job, context.params)
        begun = self.build(context)
        outcome = context.train(begun.task)
        context.save(STUDENT, begun.model.state_dict(), begun.about)
        if recipe.boundary.keep_optimizer:
            context.save(OPTIMIZER, moments(outcome.optimizer), {"kind": "optimizer"})
        if begun.picture is not None and context.processes.leads:
            self._draw(context, begun.picture)
        context.finish({"loss": outcome.history[-1]["loss"], "epochs": recipe.epochs, "steps": outcome.steps, **begun.results})

    def _draw(self, context: Running, picture: Callable[[], bytes]) -> None:
        """Leave the picture: here both networks are in memory, the teacher as it ended. A training isn't lost to an image."""
        try:
            content = picture()
        except UserError as error:
            print(f"warning: no {METHOD}: {error}", flush=True)
            return
        path = context.job.folder / METHOD
        patiently(lambda: write_whole(path, content), context.params.execution.disk_patience_seconds)
        context.artifacts.append(METHOD)

    def work(self, estimate: Estimate, job: Job) -> Work:
        params, row, recipe = estimate.params, job.key["row"], self._recipe(job, estimate.params)
        architecture = estimate.architecture(row)
        teacher, name = self._teacher(estimate, row, int(job.key["stage"]))
        width = architecture.width if teacher is None else teacher.width
        cost = student_cost(architecture, recipe, width).training(recipe.precision, estimate.checkpointing)
        seen = Flops() if teacher is None else teacher.cost.inference(recipe.precision)
        numbers = student_weights(architecture, recipe, width)
        return estimate.training(
            self.name,
            job.settings["architecture"],
            estimate.trained(params.uses.pretrain, recipe.epochs, recipe.batch_size),
            None,
            sum([cost] * recipe.masks_per_image, seen),
            recipe,
            recipe.design,
            BYTES * numbers * (1 + MOMENTS * recipe.boundary.keep_optimizer),
            BYTES * numbers * (1 + MOMENTS),
            () if teacher is not None else (f"teacher {name}",),
            {"teacher": name if teacher is None else None},
            of_student(architecture, recipe, numbers, 0.0 if teacher is None else teacher.weights),
        )

    def model(self, job: Job, params: Params) -> Model:
        title = params.architectures[job.architecture].title
        return Model(STUDENT, "student", f"{title}, row {job.key['row']}, student of stage {job.key['stage']}")

    def _recipe(self, job: Job, params: Params) -> AsymmetricPretrain | SymmetricPretrain:
        return params.recipes.pretrain[params.rows[job.key["row"]].recipe].of_stage(int(job.key["stage"]))

    def _source(self, given: Beginning, final_norm: bool) -> "RandomTeacher | Promoted | Teacher":
        """Where the stage's teacher comes from: a student among the inputs, or what the row's teacher declares."""
        from dbot.models.released.envelope import silent
        from dbot.models.teachers.declared import foreign_teacher as built

        if "teacher" in given.job.inputs:
            return given.student("teacher")
        declared = given.params.teacher_of(given.params.rows[given.job.key["row"]])
        assert not isinstance(declared, RowTeacher), "its student is an input"
        if isinstance(declared, RandomTeacher):
            return declared
        say = print if given.processes.leads else silent
        return built(declared, final_norm, given.params.normalisation, say)

    def _teacher(self, estimate: Estimate, row: str, stage: int) -> tuple[Frozen | None, str]:
        """The cost of the network that teaches a stage, and its name; None: its figures are not known."""
        declared, architecture = estimate.params.rows[row], estimate.architecture(row)
        if stage > 1:
            return student_teacher(architecture, architecture.grid), row
        teacher, name = estimate.params.teacher_of(declared), str(declared.teacher)
        if isinstance(teacher, RandomTeacher):
            return random_teacher(architecture, teacher), name
        if isinstance(teacher, RowTeacher):
            return student_teacher(estimate.architecture(teacher.row), architecture.grid), teacher.row
        return foreign_teacher(teacher), name


DISTILL = Distill()


def student(experiment: Experiment, row: str, stage: str | int) -> Job:
    """What leaves a row's student: a stage of its distillation, or the released file that stands in for all of them."""
    declared = experiment.row(row)
    if declared.released is not None:
        return FETCH.declare(experiment, declared.released)
    return DISTILL.declare(experiment, row, stage)
