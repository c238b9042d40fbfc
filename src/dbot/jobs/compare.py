"""Comparing the students that two rows are fine-tuned from."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.flops import Cost, encoder
from dbot.jobs.distill import student
from dbot.jobs.experiment import Experiment
from dbot.jobs.kind import DATA, MEASURED, ROW, Input, Job, Key, Measurement, Running
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import Estimate, Pass, Work, inference

SIMILARITY = ("cka.csv", "cka.svg", "cka.png")
"""What a comparison leaves beside its metrics."""


class Compare(Measurement):
    """Compare two rows' students, layer by layer: linear CKA of their tokens."""

    name = "compare"
    title = "how like two rows' students are, layer by layer"
    order = 120
    key = (ROW, Key("other", "another row whose student has as many patches"))
    inputs = (DATA, Input("student", "receipt of the row's student"), Input("second", "receipt of the other row's student"))

    def declare(self, experiment: Experiment, row: str, other: str) -> Job:
        params = experiment.params
        inputs = {"data": PREPARE.declare(experiment, params.uses.cls)}
        for role, name in (("student", row), ("second", other)):
            declared = experiment.row(name)
            if not [stage for stage in experiment.stages_of(name) if stage > 0]:
                raise UserError(f"row {name} has no student before its fine-tuning; name another row")
            inputs[role] = student(experiment, name, declared.stages.cls if declared.stages else 1)
        settings = {"analysis": params.analysis.model_dump(), "normalisation": params.normalisation.model_dump()}
        sources = (("analysis",), ("normalisation",))
        key, artifacts = {"row": row, "other": other}, (*SIMILARITY, MEASURED)
        return Job(self, experiment.scale, key, inputs, settings, sources, artifacts, params.rows[row].architecture)

    def run(self, context: Running) -> None:
        from dbot.measure.insides import write_similarity
        from dbot.measure.plots import draw_similarity
        from dbot.tasks.analyse import compare
        from dbot.tasks.network import student_network

        params, row, other = context.params, context.job.key["row"], context.job.key["other"]
        first = student_network(context.student("student"), row, params.normalisation)
        second = student_network(context.student("second"), other, params.normalisation)
        every = params.execution.progress_every_seconds
        found = compare(first, second, params.analysis, context.manifest, context.processes, context.batch_per_process, every)
        metrics = {"cka_last_layer": found.cka[-1][-1], "cka_first_layer": found.cka[0][0]}
        if context.processes.leads:
            folder = context.job.folder
            write_similarity(folder / SIMILARITY[0], found)
            draw_similarity(found, row, other, folder / Path(SIMILARITY[0]).stem)
            print(f"compare {row} {other}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        context.artifacts.extend(SIMILARITY)
        context.save_metrics(metrics)
        context.finish(metrics)

    def work(self, estimate: Estimate, job: Job) -> Work:
        images = estimate.analysed()
        networks = [estimate.architecture(job.key[role]) for role in ("row", "other")]
        cost = sum((encoder(architecture, architecture.grid**2) for architecture in networks), Cost())
        return inference(None if images is None else Pass(images, cost.inference("fp32")), ("similarities",))


COMPARE = Compare()
