"""What probes and analyses share: one frozen network of a row, and the images of the classification column."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from dbot.base.errors import UserError
from dbot.flops import Frozen
from dbot.jobs.distill import student
from dbot.jobs.experiment import Experiment, whole_number
from dbot.jobs.fetch import FETCH
from dbot.jobs.kind import Job, Measurement, Running
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import Estimate, Pass, Work, inference

if TYPE_CHECKING:
    from dbot.models.teachers.teacher import Teacher


class FrozenMeasurement(Measurement):
    """Measures a frozen network of a row: the student of a stage, at stage 0 the first teacher, a released file in place of either."""

    section: str
    """Of params.yaml, which says how."""
    artifacts: tuple[str, ...]
    left_out: tuple[str, ...]
    """What it computes beside the forward passes."""

    @abstractmethod
    def images(self, estimate: Estimate) -> int | None:
        """That the network sees. None: not known."""

    @abstractmethod
    def precision(self, estimate: Estimate) -> str:
        """In which it sees them."""

    def image_size(self, estimate: Estimate) -> int | None:
        """Side of these images, in pixels. None: the network's own."""
        return None

    def declare(self, experiment: Experiment, row: str, stage: str | int) -> Job:
        params, declared, number = experiment.params, experiment.row(row), whole_number("stage", stage)
        if number not in (there := experiment.networks_of(row)):
            known = ", ".join(map(str, there))
            raise UserError(f"row {row} has no network of stage {number} before its fine-tuning; it has {known or 'none'}")
        if (found := experiment.stands_for(row, number)) != (row, number):
            at = f"--row {found[0]} --stage {found[1]}"
            raise UserError(f"the first teacher of row {row} is also a network of row {found[0]}; ask for {at}")
        inputs = {"data": PREPARE.declare(experiment, params.uses.cls)}
        if number > 0:
            tuned = experiment.finetuned_file(row) if number not in experiment.stages_of(row) else None
            inputs["student"] = student(experiment, row, number) if tuned is None else FETCH.declare(experiment, tuned)
            settings: dict[str, Any] = {"normalisation": params.normalisation.model_dump()}
            sources: list[Any] = [("normalisation",)]
        else:
            settings, sources = experiment.first_teacher(declared)
        settings = {self.section: getattr(params, self.section).model_dump(), **settings}
        key = {"row": row, "stage": str(number)}
        where = ((self.section,), *sources)
        return Job(self, experiment.scale, key, inputs, settings, where, self.artifacts, declared.architecture)

    def network(self, context: Running, image_size: int | None = None) -> "Teacher":
        """The network of a job, for images of its own size or another."""
        from dbot.tasks.network import declared_network, finetuned_network, student_network

        row = context.job.key["row"]
        found = context.checkpoint("student")
        if found is not None and found.about["kind"] == "classifier":
            return finetuned_network(*found, context.params.normalisation, image_size)
        if found is not None:
            return student_network(context.student("student"), row, context.params.normalisation, image_size)
        return declared_network(context.params, row, image_size)

    def work(self, estimate: Estimate, job: Job) -> Work:
        row, images = job.key["row"], self.images(estimate)
        size = self.image_size(estimate)
        if size is None and (student := job.inputs.get("student")) is not None and student.kind is FETCH:
            size = estimate.params.recipes.finetune[estimate.params.rows[row].recipe].image_size  # what is fine-tuned keeps its own
        found: Frozen | None = estimate.network(row, int(job.key["stage"]), size)
        if found is None:
            return Work(images=images, left_out=(f"teacher {estimate.params.rows[row].teacher}", *self.left_out))
        flops = found.cost.inference(self.precision(estimate))
        return inference(None if images is None else Pass(images, flops), self.left_out)
