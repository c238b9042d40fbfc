"""Fine-tuning of a row's student on a set that its pre-training has not seen."""

from dbot.base.errors import UserError
from dbot.jobs.classification import Classification, Recipe, findings
from dbot.jobs.distill import student
from dbot.jobs.experiment import Experiment, whole_number
from dbot.jobs.finetune import FINETUNE
from dbot.jobs.kind import DATA, METRICS, MODEL, ROW, Input, Job, Key, Model, Running
from dbot.jobs.prepare import PREPARE
from dbot.params.document import Params
from dbot.params.probes import TransferSet


class Transfer(Classification):
    """Fine-tune a row's student on a set that its pre-training has not seen, and measure it there."""

    name = "transfer"
    title = "fine-tune on a set that pre-training has not seen"
    order = 60
    key = (
        ROW,
        Key("dataset", "data set under `transfer.sets` of params.yaml"),
        Key("seed", "seed of this fine-tuning", number=True),
    )
    inputs = (DATA, Input("start", "receipt of the student to start from"))
    checkpoints = 1
    steps_of = FINETUNE.name

    def declare(self, experiment: Experiment, row: str, dataset: str, seed: str | int) -> Job:
        declared = experiment.row(row)
        sets = experiment.params.transfer.sets
        if dataset not in sets:
            known = ", ".join(sets)
            raise UserError(f"{experiment.resolved.file}: there is no {dataset!r} under `transfer.sets`; declared are: {known}")
        if not experiment.is_transferred(row):
            raise UserError(
                f"row {row} is not transferred: it needs a student or random weights to start from, and recipes.transfer.{declared.recipe}"
            )
        inputs = {"data": PREPARE.declare(experiment, dataset)}
        if not declared.from_scratch:
            inputs["start"] = student(experiment, row, declared.stages.cls if declared.stages else 1)
        settings, sources = experiment.of_recipe(declared, "transfer", recipe_on(dataset, experiment.params, row).model_dump())
        settings["seed"] = whole_number("seed", seed)
        key = {"row": row, "dataset": dataset, "seed": str(seed)}
        sources.append(("transfer", "figures", dataset))
        return Job(self, experiment.scale, key, inputs, settings, tuple(sources), (MODEL, METRICS), declared.architecture)

    def recipe(self, job: Job, params: Params) -> Recipe:
        return recipe_on(job.key["dataset"], params, job.key["row"])

    def run(self, context: Running) -> None:
        recipe = self.recipe(context.job, context.params)
        begun = self.build(context)
        outcome = context.train(begun.task)
        found = findings(outcome, recipe.epochs)
        last = begun.model.state_dict()
        context.save(MODEL, last if recipe.select == "last" or outcome.best is None else outcome.best, begun.about)
        context.finish({"top1": found[f"{recipe.select}_top1"], **found})

    def model(self, job: Job, params: Params) -> Model:
        title, key = params.architectures[job.architecture].title, job.key
        return Model(MODEL, "classifier", f"{title}, row {key['row']}, transferred to {key['dataset']} with seed {key['seed']}")


TRANSFER = Transfer()


def recipe_on(dataset: str, params: Params, row: str) -> Recipe:
    """The recipe of a row's transfer to a set: that of its design, with what the set has of its own."""
    recipe, own = params.recipes.transfer[params.rows[row].recipe], params.transfer.figures.get(dataset, TransferSet())
    erase = {} if own.random_erase is None else {"random_erase": own.random_erase}
    length = {} if own.epochs is None else {"epochs": own.epochs}
    return recipe.model_copy(update={**length, "augmentation": recipe.augmentation.model_copy(update=erase)})
