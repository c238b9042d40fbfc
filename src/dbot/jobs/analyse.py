"""Analysing a frozen network: what happens inside it."""

from dbot.base.errors import UserError
from dbot.jobs.experiment import Experiment, whole_number
from dbot.jobs.frozen import FrozenMeasurement
from dbot.jobs.kind import DATA, MEASURED, ROW, Input, Job, Key, Running
from dbot.jobs.work import Estimate


class Analyse(FrozenMeasurement):
    """Measure the insides of a frozen network: how far each head attends, how varied each layer's tokens are."""

    name = "analyse"
    title = "attention distance and singular values inside a frozen stage or teacher"
    order = 110
    key = (ROW, Key("stage", "after which stage; 0: the row's first teacher", number=True))
    inputs = (DATA, Input("student", "receipt of the stage whose student is analysed"))
    section = "analysis"
    artifacts = ("attention_distance.csv", "singular_shares.csv", MEASURED)
    left_out = ("singular values",)

    def declare(self, experiment: Experiment, row: str, stage: str | int) -> Job:
        if not experiment.has_attention(row, whole_number("stage", stage)):
            raise UserError(f"the first teacher of row {row} has no attention by layer and head; analyse the row's stages")
        return super().declare(experiment, row, stage)

    def run(self, context: Running) -> None:
        from dbot.measure.insides import DISTANCES, SHARES, write_insides
        from dbot.tasks.analyse import analyse, summary

        analysis, every = context.params.analysis, context.params.execution.progress_every_seconds
        network = self.network(context)
        found = analyse(network, analysis, context.manifest, context.processes, context.batch_per_process, every)
        metrics = summary(found)
        if context.processes.leads:
            write_insides(context.job.folder, found)
            row, stage = context.job.key["row"], context.job.key["stage"]
            print(f"analyse {row} stage {stage}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        context.artifacts.extend((DISTANCES, SHARES))
        context.save_metrics(metrics)
        context.finish({**metrics, "network_sha256": network.digest()})

    def images(self, estimate: Estimate) -> int | None:
        return estimate.analysed()

    def precision(self, estimate: Estimate) -> str:
        return "fp32"


ANALYSE = Analyse()
