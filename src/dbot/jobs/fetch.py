"""Taking over weights that others released."""

from dbot.base.errors import UserError
from dbot.flops import encoder_weights
from dbot.jobs.experiment import Experiment
from dbot.jobs.kind import MODEL, Context, Job, Key, Model, Preparation
from dbot.jobs.work import BYTES, Estimate, Work
from dbot.params.document import Params


class Fetch(Preparation):
    """Fetch weights that others released, and write them as a checkpoint of ours, for rows that start from them."""

    name = "fetch"
    title = "take over weights that others released"
    order = 30
    key = (Key("released", "a file of params.yaml, under released.files", metavar="FILE"),)
    kept = True
    start = MODEL
    exported = MODEL

    def declare(self, experiment: Experiment, released: str) -> Job:
        files = experiment.params.released.files
        if released not in files:
            known = ", ".join(files)
            raise UserError(f"{experiment.resolved.file}: there is no {released!r} under `released.files`; declared are: {known}")
        declared = files[released]
        architecture = experiment.params.rows[declared.row].architecture
        content = declared.model_dump(include={"file", "sha256", "bytes", "layout"})
        content |= {"entry": declared.entry} if declared.entry is not None else {}
        settings = {"released": content, "architecture": experiment.architecture(architecture)}
        here = ("released", "files", released)
        sources = (*((*here, field) for field in content), *experiment.architecture_sources(architecture))
        return Job(self, experiment.scale, {"released": released}, {}, settings, sources, (MODEL,), architecture)

    def run(self, context: Context) -> None:
        from dbot.base.digest import file_digest
        from dbot.data.released import forget, locate
        from dbot.models.released.reading import Damaged
        from dbot.models.released.take_over import Stated, take_over

        params, name = context.params, context.job.key["released"]
        declared = params.released.files[name]
        path = locate(declared, params.released.weights_folder)
        digest = file_digest(path)
        architecture, stated = params.architectures[params.rows[declared.row].architecture], Stated(declared.entry, by_row=True)
        try:
            weights, about = take_over(path, declared.layout, architecture, stated, print)
        except Damaged:
            forget(path)
            raise
        if alien := [key for key in ("layer_scale", "registers", "positions", "activation") if key in about]:
            raise UserError(f"{path}: has {alien[0].replace('_', ' ')} that no student has; declare it under teachers, with kind: file")
        about |= {"released": name, "row": declared.row, "source": {"file": declared.file, "sha256": digest}}
        context.save(MODEL, weights, about)
        context.finish({"sha256": digest, "bytes": path.stat().st_size, "tensors": len(weights)})
        known = "as declared" if declared.sha256 else "not declared, so noted only"
        print(f"fetch {name}: {about['kind']} of {len(weights)} tensors from {path} (SHA-256 {digest[:12]}…, {known})")

    def work(self, estimate: Estimate, job: Job) -> Work:
        """A released file holds an encoder at least."""
        architecture = estimate.architecture(estimate.params.released.files[job.key["released"]].row)
        return Work(checkpoints=BYTES * encoder_weights(architecture, False, False, True))

    def model(self, job: Job, params: Params) -> Model:
        return Model(MODEL, "released", f"released weights {job.settings['released']['file']}")


FETCH = Fetch()
