"""What fine-tuning and transfer share: training a row's classifier."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from dbot.flops import classifier as classifier_cost
from dbot.flops import encoder_weights
from dbot.jobs.experiment import start_of
from dbot.jobs.kind import Beginning, Begun, Job, Training
from dbot.jobs.work import BYTES, MOMENTS, Estimate, Pass, Work
from dbot.memory import of_classifier
from dbot.params.document import Params
from dbot.params.recipes import AsymmetricFinetune, SymmetricFinetune

if TYPE_CHECKING:
    from dbot.train.loop import Outcome

Recipe = AsymmetricFinetune | SymmetricFinetune


class Classification(Training):
    """Trains a row's classifier."""

    checkpoints: int
    """How many a job leaves."""
    steps_of: str
    """The kind whose training steps its own are like, for their speed."""

    @abstractmethod
    def recipe(self, job: Job, params: Params) -> Recipe:
        """How a job trains."""

    def build(self, given: Beginning) -> Begun:
        from dbot.models import checkpoint
        from dbot.models.classifier import load_classifier, load_encoder
        from dbot.tasks.classify import classifier_for, finetune_task, initialise_classifier

        params, row = given.params, given.job.key["row"]
        architecture, statistics = params.architectures[params.rows[row].architecture], params.normalisation
        recipe = self.recipe(given.job, params)
        given.manifest.require_labels(self.name)
        seed = recipe.seed + int(given.job.key["seed"])
        found = start_of(given)
        weights = None if found is None else found.weights
        classifier = classifier_for(architecture, recipe, len(given.manifest.classes), weights, recipe.drop_path)
        initialise_classifier(classifier, recipe, seed)
        if found is not None and found.about.get("kind") == "classifier":
            # It goes on at another resolution with its head; the published code draws the head anew.
            load_classifier(classifier, found.weights, found.source)
        elif found is not None:
            load_encoder(classifier, checkpoint.part(found.weights, "encoder."), found.source)
        title = " ".join((self.name, *(value for name, value in given.job.key.items() if name != "seed")))
        task = finetune_task(title, classifier, recipe, seed, given.manifest, statistics, given.processes, given.batch_per_process)
        about = {
            "kind": "classifier",
            "row": row,
            "seed": int(given.job.key["seed"]),
            "design": recipe.design,
            "image_size": classifier.patch_embed.img_size[0],
            "pooling": recipe.pooling,
            "classes": given.manifest.classes,
            "architecture": architecture.model_dump(),
        }
        return Begun(task, classifier, about)

    def work(self, estimate: Estimate, job: Job) -> Work:
        recipe, dataset = self.recipe(job, estimate.params), job.inputs["data"].key["dataset"]
        architecture, classes = estimate.architecture(job.key["row"], recipe.image_size), estimate.classes(dataset)
        cost = classifier_cost(architecture, classes)
        measured = estimate.measured(dataset, -(-recipe.epochs // recipe.evaluate_every))
        symmetric = isinstance(recipe, SymmetricFinetune)
        relative, absolute = (
            (recipe.relative_positions, recipe.absolute_positions) if isinstance(recipe, SymmetricFinetune) else (False, True)
        )
        numbers = encoder_weights(architecture, symmetric, relative, absolute, architecture.depth)
        numbers += 2 * architecture.width + classes * (architecture.width + 1)
        return estimate.training(
            self.steps_of,
            job.settings["architecture"],
            estimate.trained(dataset, recipe.epochs, recipe.batch_size, recipe.label_fraction, classes),
            None if measured is None else Pass(measured, cost.inference(recipe.precision)),
            cost.training(recipe.precision, estimate.checkpointing),
            recipe,
            recipe.design,
            BYTES * numbers * self.checkpoints,
            BYTES * numbers * (2 + MOMENTS),  # the best weights so far are part of it
            memory=of_classifier(architecture, symmetric, numbers, relative),
        )


def findings(outcome: "Outcome", epochs: int) -> dict[str, float | int]:
    """What a receipt says of a fine-tuning."""
    best = max(metrics["top1"] for metrics in outcome.history if "top1" in metrics)
    return {"last_top1": outcome.history[-1]["top1"], "best_top1": best, "epochs": epochs, "steps": outcome.steps}
