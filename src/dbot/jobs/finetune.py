"""Fine-tuning of a row's classifier; and where a row's classifier comes from."""

from dbot.jobs.classification import Classification, Recipe, findings
from dbot.jobs.distill import DISTILL
from dbot.jobs.experiment import Experiment, whole_number, with_teacher
from dbot.jobs.fetch import FETCH
from dbot.jobs.kind import DATA, METRICS, ROW, Input, Job, Key, Model, Running
from dbot.jobs.prepare import PREPARE
from dbot.params.document import Params

LAST, BEST = "last.safetensors", "best.safetensors"


class Finetune(Classification):
    """Fine-tune a classifier, from a student, from another row's classifier, or from random weights."""

    name = "finetune"
    title = "fine-tune a classifier"
    order = 50
    key = (ROW, Key("seed", "seed of this fine-tuning", number=True))
    inputs = (DATA, Input("start", "receipt of the student or classifier to start from"))
    start = BEST
    exported = LAST
    checkpoints = 2
    steps_of = name

    def declare(self, experiment: Experiment, row: str, seed: str | int) -> Job:
        params, declared = experiment.params, experiment.row(row)
        inputs = {"data": PREPARE.declare(experiment, params.uses.cls)}
        if declared.finetuned_from is not None:
            inputs["start"] = classifier(experiment, declared.finetuned_from, seed)
        elif declared.released is not None:
            inputs["start"] = FETCH.declare(experiment, declared.released)
        elif declared.stages is not None:
            inputs["start"] = DISTILL.declare(experiment, row, declared.stages.cls)
        recipe = params.recipes.finetune[declared.recipe].model_dump(exclude={"select"})
        settings, sources = experiment.of_recipe(declared, "finetune", recipe)
        settings["seed"] = whole_number("seed", seed)
        sources += with_teacher(experiment, declared, settings)
        key = {"row": row, "seed": str(seed)}
        return Job(self, experiment.scale, key, inputs, settings, tuple(sources), (LAST, BEST, METRICS), declared.architecture)

    def recipe(self, job: Job, params: Params) -> Recipe:
        return params.recipes.finetune[params.rows[job.key["row"]].recipe]

    def run(self, context: Running) -> None:
        begun = self.build(context)
        outcome = context.train(begun.task)
        last = begun.model.state_dict()
        context.save(LAST, last, begun.about)
        context.save(BEST, outcome.best or last, begun.about)
        context.finish(findings(outcome, begun.task.recipe.epochs))

    def model(self, job: Job, params: Params) -> Model:
        title = params.architectures[job.architecture].title
        file = f"{self.recipe(job, params).select}.safetensors"
        return Model(file, "classifier", f"{title}, row {job.key['row']}, fine-tuned with seed {job.key['seed']}")


FINETUNE = Finetune()


def classifier(experiment: Experiment, row: str, seed: str | int) -> Job:
    """What leaves a row's classifier: its fine-tuning, or the fine-tuned file that stands in for it."""
    if (file := experiment.finetuned_file(row)) is not None:
        return FETCH.declare(experiment, file)
    return FINETUNE.declare(experiment, row, seed)
