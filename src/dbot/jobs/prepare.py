"""Checking a data set and writing its manifest."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.jobs.experiment import Experiment
from dbot.jobs.generate import GENERATE
from dbot.jobs.kind import Context, Input, Job, Key, Preparation
from dbot.jobs.work import Estimate, Work

COPIES = Path("data/prepared")
MANIFEST, SAMPLES = "manifest.json", "samples.tsv"
SHEET = "sheet.jpg"
"""Some training images with their classes, objects or label maps."""


class Prepare(Preparation):
    """Check a data set (layout, counts, every image) and write its manifest, before any GPU hour is spent."""

    name = "prepare"
    title = "check a data set and write its manifest"
    order = 20
    key = (Key("dataset", "a data set of params.yaml"),)
    is_data = True
    pictures = (SHEET,)
    inputs = (Input("generated", "receipt of `dbot generate`, for an embedded data set (default: the planned one)"),)

    def declare(self, experiment: Experiment, dataset: str) -> Job:
        declared = experiment.named("datasets", experiment.params.datasets, dataset)
        inputs = {"generated": GENERATE.declare(experiment, dataset)} if declared.embedded else {}
        unused = {"embedded", *declared.unused}
        settings = {"dataset": declared.model_dump(exclude=unused)}
        sources = tuple(("datasets", dataset, field) for field in type(declared).model_fields if field not in unused)
        return Job(self, experiment.scale, {"dataset": dataset}, inputs, settings, sources, (MANIFEST, SAMPLES))

    def run(self, context: Context) -> None:
        from dbot.base.digest import table_digest, tree_table
        from dbot.base.files import write_whole
        from dbot.data.declaration import completed
        from dbot.data.layouts.reader import found_out
        from dbot.data.prepare import prepared
        from dbot.pictures.contact import contact_sheet

        job, name = context.job, context.job.key["dataset"]
        dataset = context.params.datasets[name]
        if "generated" in job.inputs:
            drawn = job.inputs["generated"]
            assert dataset.root is not None, "what is drawn has a root"
            if table_digest(tree_table(Path(dataset.root))) != context.result("generated", "digest"):
                raise UserError(f"{dataset.root}: is not what {drawn.receipt} says was drawn there; draw it again: {drawn.command}")
        every = context.params.execution.progress_every_seconds
        found = found_out(name, dataset)
        manifest, census = prepared(name, dataset, job.folder, COPIES / job.scale / name, context.threads, every)
        write_whole(job.folder / SHEET, contact_sheet(manifest))
        context.artifacts.extend((MANIFEST, SAMPLES, SHEET))
        counts = manifest.counts
        context.finish(
            {
                "digest": manifest.digest,
                **counts,
                "classes": len(manifest.classes),
                "unreadable": len(manifest.unreadable),
                "defects": sum(manifest.defects.values()),
                **census.results(),
            }
        )
        left_out = f", {len(manifest.unreadable)} left out" if manifest.unreadable else ""
        if manifest.defects:
            left_out += "; left out for their annotations: " + ", ".join(f"{count} x {kind}" for kind, count in manifest.defects.items())
        kinds = f"of {len(manifest.classes)} classes" if manifest.classes else "without labels"
        parts = f"{counts['train']} training" + (f" and {counts['validation']} validation" if counts["validation"] else "")
        images = f"{parts} images {kinds}"
        print(f"prepare {name}: {images} in {manifest.root}{left_out}; {job.folder / SHEET} shows some")
        if declaration := completed(name, dataset, found, manifest):
            print(f"All that was found, as params.yaml may state it:\n{declaration}")

    def data_files(self, job: Job) -> tuple[Path, list[tuple[str, str]]]:
        import json

        manifest = json.loads((job.folder / MANIFEST).read_bytes())
        header, *lines = (job.folder / SAMPLES).read_text(encoding="utf-8").rstrip("\n").split("\n")
        column = {name: i for i, name in enumerate(header.split("\t"))}
        files = [(file["path"], file["sha256"]) for file in manifest["annotation_files"].values()]
        for cells in (line.split("\t") for line in lines):
            files.append((cells[column["path"]], cells[column["digest"]]))
            if cells[column["annotation_digest"]]:
                files.append((cells[column["annotation"]], cells[column["annotation_digest"]]))
        return Path(manifest["root"]), files

    def work(self, estimate: Estimate, job: Job) -> Work:
        return Work(images=estimate.every(job.key["dataset"]))


PREPARE = Prepare()
