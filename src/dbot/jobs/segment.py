"""Training of a row's semantic segmenter."""

from dbot.flops import Cost, segmenter, segmenter_weights, sides, windows
from dbot.jobs.dense import DenseTraining
from dbot.jobs.experiment import start_of
from dbot.jobs.kind import Beginning, Begun
from dbot.jobs.work import Estimate
from dbot.memory import Footprint, of_segmenter
from dbot.params.datasets import LabelMaps
from dbot.params.dense import Segment as Recipe
from dbot.params.document import Params


class Segment(DenseTraining[Recipe]):
    """Train a semantic segmenter, from a student or from random weights."""

    name = "segment"
    title = "train a semantic segmenter"
    order = 80
    layout = "labelmaps"
    column = "seg"
    type = "segmenter"

    def recipe(self, params: Params, row: str) -> Recipe:
        return params.recipes.segment[params.rows[row].recipe]

    def build(self, given: Beginning) -> Begun:
        from torch import nn

        from dbot.data.labelmaps.values import values_of
        from dbot.models.pyramid import dense_groups
        from dbot.tasks.segment import begin_segmenter, evaluate_segmentation, segment_task
        from dbot.train.task import Metrics

        params, row, statistics = given.params, given.job.key["row"], given.params.normalisation
        architecture, recipe = params.architectures[params.rows[row].architecture], self.recipe(params, row)
        seed, start = recipe.seed + int(given.job.key["seed"]), start_of(given)
        student, source = (None, "") if start is None else (start.weights, start.source)
        made = begin_segmenter(architecture, recipe, len(given.manifest.classes), seed, student, source)

        def measure(model: nn.Module) -> Metrics:
            assert model is made
            return evaluate_segmentation(made, recipe, given.manifest, statistics, given.processes, given.batch_per_process).metrics

        groups = dense_groups(made, "pyramid", recipe.optimizer)
        task = segment_task(f"segment {row}", made, recipe, seed, given.manifest, statistics, groups, measure)
        values = values_of(given.manifest.label_maps or LabelMaps(), len(given.manifest.classes))
        return Begun(task, made, {**self.about(given), "values": values})

    def training_cost(self, estimate: Estimate, row: str) -> Cost:
        recipe, classes = self.recipe(estimate.params, row), estimate.classes(estimate.params.uses.seg)
        crop = recipe.augmentation.crop
        return segmenter(estimate.architecture(row), recipe, classes, crop, crop, training=True)

    def inference_cost(self, estimate: Estimate, row: str) -> Cost:
        recipe, name = self.recipe(estimate.params, row), estimate.params.uses.seg
        seen, architecture, classes = recipe.inference, estimate.architecture(row), estimate.classes(name)
        height, width = sides(seen.short_side, seen.long_side, estimate.aspect(name))
        one = segmenter(architecture, recipe, classes, min(seen.window, height), min(seen.window, width), training=False)
        return sum([one] * windows(height, width, seen.window, seen.stride), Cost())

    def weights(self, estimate: Estimate, row: str) -> int:
        return segmenter_weights(estimate.architecture(row), self.recipe(estimate.params, row), estimate.classes(estimate.params.uses.seg))

    def footprint(self, estimate: Estimate, row: str) -> Footprint:
        recipe, classes = self.recipe(estimate.params, row), estimate.classes(estimate.params.uses.seg)
        return of_segmenter(estimate.architecture(row), recipe, classes, self.weights(estimate, row))


SEGMENT = Segment()
