"""Training of a row's detector."""

from typing import Any

from dbot.flops import Cost, detector, detector_weights, mean, sides
from dbot.jobs.dense import DenseTraining
from dbot.jobs.experiment import start_of
from dbot.jobs.kind import Beginning, Begun
from dbot.jobs.work import Estimate
from dbot.memory import Footprint, of_detector
from dbot.params.dense import Detect as Recipe
from dbot.params.document import Params


class Detect(DenseTraining[Recipe]):
    """Train a detector (boxes and instance masks; of a set without masks boxes alone), from a student or from random weights."""

    name = "detect"
    title = "train a detector of boxes and instance masks"
    order = 70
    layout = "coco"
    column = "det"
    type = "detector"

    def recipe(self, params: Params, row: str) -> Recipe:
        return params.recipes.detect[params.rows[row].recipe]

    def of_data(self, params: Params) -> dict[str, Any]:
        declared = params.datasets[params.uses.det]
        return declared.model_dump(include={"masks"}) if declared.boxes_only else {}

    def unused(self, params: Params) -> dict[str, Any]:
        return {"masks": True, "inference": {"mask"}} if params.datasets[params.uses.det].boxes_only else {}

    def build(self, given: Beginning) -> Begun:
        from torch import nn

        from dbot.data.objects.annotations import ground_truth
        from dbot.data.objects.loading import TrainingObjects, ValidationViews
        from dbot.data.objects.results import overlaps_of, score
        from dbot.models.pyramid import dense_groups
        from dbot.tasks.detect import begin_detector, detect_task, evaluate_detection
        from dbot.train.task import Metrics

        params, row, statistics = given.params, given.job.key["row"], given.params.normalisation
        architecture, recipe = params.architectures[params.rows[row].architecture], self.recipe(params, row)
        truth = ground_truth(given.manifest)
        category_ids = [category["id"] for category in truth["categories"]]
        seed, start = recipe.seed + int(given.job.key["seed"]), start_of(given)
        student, source = (None, "") if start is None else (start.weights, start.source)
        masks = given.manifest.masks
        made = begin_detector(architecture, recipe, len(given.manifest.classes), seed, student, source, masks)
        images = TrainingObjects(given.manifest, recipe.augmentation, seed)

        def measure(model: nn.Module) -> Metrics:
            views = ValidationViews(given.manifest, recipe.inference, given.processes.rank, given.processes.world)
            found = evaluate_detection(model, recipe, views, statistics, category_ids, given.processes)
            return score(truth, found, overlaps_of(masks)).summary if given.processes.leads else {}

        groups = dense_groups(made, "pyramid", recipe.optimizer)
        task = detect_task(f"detect {row}", made, recipe, seed, images, statistics, groups, measure)
        return Begun(task, made, {**self.about(given), "category_ids": category_ids, **({} if masks else {"masks": "none"})})

    def training_cost(self, estimate: Estimate, row: str) -> Cost:
        recipe, name = self.recipe(estimate.params, row), estimate.params.uses.det
        sizes = [sides(short, recipe.augmentation.long_side, estimate.aspect(name)) for short in recipe.augmentation.short_sides]
        architecture, classes = estimate.architecture(row), estimate.classes(name)
        masks = not estimate.params.datasets[name].boxes_only
        return mean([detector(architecture, recipe, classes, *size, training=True, masks=masks) for size in sizes])

    def inference_cost(self, estimate: Estimate, row: str) -> Cost:
        recipe, name = self.recipe(estimate.params, row), estimate.params.uses.det
        size = sides(recipe.inference.short_side, recipe.inference.long_side, estimate.aspect(name))
        masks = not estimate.params.datasets[name].boxes_only
        return detector(estimate.architecture(row), recipe, estimate.classes(name), *size, training=False, masks=masks)

    def weights(self, estimate: Estimate, row: str) -> int:
        recipe, name = self.recipe(estimate.params, row), estimate.params.uses.det
        masks = not estimate.params.datasets[name].boxes_only
        return detector_weights(estimate.architecture(row), recipe, estimate.classes(name), masks)

    def footprint(self, estimate: Estimate, row: str) -> Footprint:
        recipe, name = self.recipe(estimate.params, row), estimate.params.uses.det
        square, masks = estimate.aspect(name) == 1.0, not estimate.params.datasets[name].boxes_only
        return of_detector(estimate.architecture(row), recipe, estimate.classes(name), self.weights(estimate, row), square, masks)


DETECT = Detect()
