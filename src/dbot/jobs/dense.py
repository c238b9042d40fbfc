"""What detection and segmentation share: training a row's dense network on a pyramid of its encoder's maps."""

from abc import abstractmethod
from typing import Any, Generic, TypeVar

from dbot.flops import Cost
from dbot.jobs.distill import DISTILL
from dbot.jobs.experiment import Experiment, whole_number, with_teacher
from dbot.jobs.fetch import FETCH
from dbot.jobs.kind import DATA, METRICS, MODEL, ROW, Beginning, Input, Job, Key, Model, Running, Training
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import BYTES, MOMENTS, Estimate, Pass, Work
from dbot.memory import Footprint
from dbot.params.dense import Detect, Segment
from dbot.params.document import Params
from dbot.params.rows import Column
from dbot.params.source import KeyPath

R = TypeVar("R", Detect, Segment)


class DenseTraining(Training, Generic[R]):
    """Trains a row's network for a dense column of the table."""

    key = (ROW, Key("seed", "seed of this training", number=True))
    inputs = (DATA, Input("start", "receipt of the student to start from"))
    batch_decides = True
    column: Column
    type: str
    """Of its models: detector or segmenter."""

    @abstractmethod
    def recipe(self, params: Params, row: str) -> R:
        """How a row's network is trained and measured."""

    def of_data(self, params: Params) -> dict[str, Any]:
        """What the declaration of its data says that decides which network is trained; nothing where that is as usual."""
        return {}

    def unused(self, params: Params) -> dict[str, Any]:
        """What of its recipe decides nothing on its data, as pydantic's `exclude`."""
        return {}

    def with_data(self, experiment: Experiment, settings: dict[str, Any]) -> list[KeyPath]:
        """Put what the data decide among the settings of a job; returns where that was read from."""
        said = self.of_data(experiment.params)
        settings |= said
        return [("datasets", getattr(experiment.params.uses, self.column), field) for field in said]

    @abstractmethod
    def training_cost(self, estimate: Estimate, row: str) -> Cost:
        """Of the forward pass of one training image."""

    @abstractmethod
    def inference_cost(self, estimate: Estimate, row: str) -> Cost:
        """Of one validation image."""

    @abstractmethod
    def weights(self, estimate: Estimate, row: str) -> int:
        """Numbers in a row's network."""

    @abstractmethod
    def footprint(self, estimate: Estimate, row: str) -> Footprint:
        """What a training keeps on its GPU."""

    def declare(self, experiment: Experiment, row: str, seed: str | int) -> Job:
        declared = experiment.row(row)
        experiment.require_column(row, self.column)
        inputs = {"data": PREPARE.declare(experiment, getattr(experiment.params.uses, self.column))}
        if declared.released is not None:
            inputs["start"] = FETCH.declare(experiment, declared.released)
        elif declared.stages is not None:
            inputs["start"] = DISTILL.declare(experiment, row, getattr(declared.stages, self.column))
        recipe = self.recipe(experiment.params, row).model_dump(exclude={**self.unused(experiment.params), "inference": True})
        settings, sources = experiment.of_recipe(declared, self.name, recipe)
        settings["seed"] = whole_number("seed", seed)
        sources += with_teacher(experiment, declared, settings)
        sources += self.with_data(experiment, settings)
        key = {"row": row, "seed": str(seed)}
        return Job(self, experiment.scale, key, inputs, settings, tuple(sources), (MODEL, METRICS), declared.architecture)

    def about(self, given: Beginning) -> dict[str, Any]:
        """What the checkpoint of a job says of its model."""
        row, params = given.job.key["row"], given.params
        recipe = self.recipe(params, row)
        return {
            "kind": self.type,
            "row": row,
            "seed": int(given.job.key["seed"]),
            "design": recipe.design,
            "architecture": params.architectures[params.rows[row].architecture].model_dump(),
            "recipe": recipe.model_dump(),
            "classes": given.manifest.classes,
        }

    def run(self, context: Running) -> None:
        begun = self.build(context)
        outcome = context.train(begun.task)
        context.save(MODEL, begun.model.state_dict(), begun.about)
        context.finish({"loss": outcome.history[-1]["loss"], "epochs": begun.task.recipe.epochs, "steps": outcome.steps})

    def work(self, estimate: Estimate, job: Job) -> Work:
        row = job.key["row"]
        recipe, name = self.recipe(estimate.params, row), getattr(estimate.params.uses, self.column)
        inference = None
        if recipe.evaluate_every is not None:
            inference = self.measured(estimate, row, -(-recipe.epochs // recipe.evaluate_every))
        numbers = self.weights(estimate, row)
        return estimate.training(
            self.name,
            job.settings["architecture"],
            estimate.trained(name, recipe.epochs, recipe.batch_size),
            inference,
            self.training_cost(estimate, row).training(recipe.precision, estimate.checkpointing),
            recipe,
            recipe.design,
            BYTES * numbers,
            BYTES * numbers * (1 + MOMENTS),
            memory=self.footprint(estimate, row),
        )

    def measured(self, estimate: Estimate, row: str, times: int) -> Pass | None:
        """The validation images, so many times. None: how many there are is not known."""
        images = estimate.measured(getattr(estimate.params.uses, self.column), times)
        if images is None:
            return None
        return Pass(images, self.inference_cost(estimate, row).inference(self.recipe(estimate.params, row).precision))

    def model(self, job: Job, params: Params) -> Model:
        title = params.architectures[job.architecture].title
        return Model(MODEL, self.type, f"{title}, row {job.key['row']}, {self.type} trained with seed {job.key['seed']}")
