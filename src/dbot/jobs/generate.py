"""Drawing an embedded data set."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.jobs.experiment import Experiment
from dbot.jobs.kind import Context, Job, Key, Preparation
from dbot.jobs.work import Estimate, Work

LIST = "files.tsv"
"""Every file that was drawn: path, bytes, SHA-256."""


class Generate(Preparation):
    """Draw an embedded data set: real digits on real photographs, in the layout of the real sets."""

    name = "generate"
    title = "draw an embedded data set"
    order = 10
    key = (Key("dataset", "a data set of params.yaml that has `embedded`"),)
    is_data = True

    def declare(self, experiment: Experiment, dataset: str) -> Job:
        declared = experiment.named("datasets", experiment.params.datasets, dataset)
        if declared.embedded is None:
            raise UserError(f"data set {dataset} is not drawn by this project; get it from: {declared.source}")
        parts = {part: getattr(declared, part).model_dump(exclude={"count"}) for part in ("train", "validation")}
        settings = {"embedded": declared.embedded.model_dump(), "layout": declared.layouts[0], "root": declared.root, **parts}
        here = ("datasets", dataset)
        folders = tuple((*here, part, field) for part, fields in parts.items() for field in fields)
        sources = ((*here, "embedded"), (*here, "layouts"), (*here, "root"), *folders)
        return Job(self, experiment.scale, {"dataset": dataset}, {}, settings, sources, (LIST,))

    def run(self, context: Context) -> None:
        from dbot.base.digest import table_digest, tree_table
        from dbot.base.files import whole_folder, write_whole
        from dbot.data.embedded.draw import draw

        name = context.job.key["dataset"]
        dataset = context.params.datasets[name]
        assert dataset.root is not None, "what is drawn has a root"
        root = Path(dataset.root)
        with whole_folder(root, "GENERATED") as folder:
            counts = draw(name, dataset, folder)
        table = tree_table(root)
        write_whole(context.job.folder / LIST, table)
        context.artifacts.append(LIST)
        context.finish({"digest": table_digest(table), **counts})
        print(f"generate {name}: {counts['train']} training and {counts['validation']} validation images in {root}")

    def fills(self, job: Job) -> Path:
        return Path(job.settings["root"])

    def data_files(self, job: Job) -> tuple[Path, list[tuple[str, str]]]:
        rows = [line.split("\t") for line in (job.folder / LIST).read_text(encoding="utf-8").splitlines()[1:]]
        return self.fills(job), [(name, digest) for name, _, digest in rows]

    def work(self, estimate: Estimate, job: Job) -> Work:
        return Work(images=estimate.every(job.key["dataset"]))


GENERATE = Generate()
