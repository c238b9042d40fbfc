"""Counting the images of a prepared data set by class."""

from dbot.jobs.experiment import Experiment
from dbot.jobs.kind import DATA, Context, Job, Key, Preparation
from dbot.jobs.prepare import PREPARE
from dbot.jobs.work import Estimate, Work


class Census(Preparation):
    """Count the images of a prepared data set by class."""

    name = "census"
    title = "count the images of a data set by class"
    order = 25
    key = (Key("dataset", "a data set of params.yaml"),)
    inputs = (DATA,)

    def declare(self, experiment: Experiment, dataset: str) -> Job:
        inputs = {"data": PREPARE.declare(experiment, dataset)}
        return Job(self, experiment.scale, {"dataset": dataset}, inputs, {}, (), ("counts.tsv",))

    def run(self, context: Context) -> None:
        from dbot.base.files import write_whole
        from dbot.data.manifest import read_manifest

        manifest = read_manifest(context.job.inputs["data"].folder)
        labels = [row.label for row in manifest.rows("train", "validation")]
        counts = {name: labels.count(number) for number, name in enumerate(manifest.classes)}
        write_whole(context.job.folder / "counts.tsv", "".join(f"{name}\t{count}\n" for name, count in counts.items()).encode())
        context.artifacts.append("counts.tsv")
        context.finish({"images": sum(counts.values())})

    def work(self, estimate: Estimate, job: Job) -> Work:
        return Work(images=estimate.every(job.key["dataset"]))


CENSUS = Census()
