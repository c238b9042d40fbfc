"""Probing a frozen network: what its features hold."""

from dbot.jobs.frozen import FrozenMeasurement
from dbot.jobs.kind import DATA, MEASURED, ROW, Input, Key, Running
from dbot.jobs.work import Estimate


class Probe(FrozenMeasurement):
    """Measure what a frozen network's features hold: k-NN and a linear classifier, trained on train, measured on validation."""

    name = "probe"
    title = "k-NN and linear classification of a frozen stage or teacher"
    order = 100
    key = (ROW, Key("stage", "after which stage; 0: the row's first teacher", number=True))
    inputs = (DATA, Input("student", "receipt of the stage whose student is probed"))
    section = "probes"
    artifacts = (MEASURED,)
    left_out = ("the solver of the linear probe", "k-NN")

    def run(self, context: Running) -> None:
        from dbot.tasks.features import by_teacher
        from dbot.tasks.probe import probe

        probes, every = context.params.probes, context.params.execution.progress_every_seconds
        network = self.network(context, probes.image_size).to(context.processes.device)
        describer = by_teacher(network, probes.pooling)
        metrics = probe(describer, probes, context.manifest, context.processes, context.batch_per_process, every)
        context.save_metrics(metrics)
        if context.processes.leads:
            row, stage = context.job.key["row"], context.job.key["stage"]
            print(f"probe {row} stage {stage}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        context.finish({**metrics, "network_sha256": network.digest()})

    def images(self, estimate: Estimate) -> int | None:
        return estimate.every(estimate.params.uses.cls)

    def precision(self, estimate: Estimate) -> str:
        return estimate.params.probes.precision

    def image_size(self, estimate: Estimate) -> int | None:
        return estimate.params.probes.image_size


PROBE = Probe()
