"""Taking over weights that others released."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbot.base.errors import UserError
from dbot.flops import encoder_weights, student_weights
from dbot.jobs.experiment import Experiment
from dbot.jobs.kind import MODEL, Context, Job, Key, Model, Preparation
from dbot.jobs.work import BYTES, Estimate, Work
from dbot.params.document import Params
from dbot.params.recipes import SymmetricFinetune
from dbot.params.teachers import ReleasedFile

if TYPE_CHECKING:
    from torch import Tensor

FIRST_USE = "first-use.json"
"""Size and SHA-256 of a file of which neither was published, beside the receipt and no part of it: it outlives what it was written for."""


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
        from dbot.data.released import AS_DECLARED, ON_FIRST_USE

        params, name = context.params, context.job.key["released"]
        declared = params.released.files[name]
        try:
            path, digest, weights, about = self._taken(context, name)
        except UserError as error:
            if waiting := [row for row, each in params.rows.items() if name in (each.released, each.finetuned)]:
                raise UserError(*(f"row {', '.join(waiting)} stops here: {problem}" for problem in error.problems)) from None
            raise
        about |= {"released": name, "row": declared.row, "source": {"file": declared.file, "sha256": digest}}
        context.save(MODEL, weights, about)
        trusted = AS_DECLARED if declared.sha256 is not None else ON_FIRST_USE
        context.finish({"sha256": digest, "bytes": path.stat().st_size, "tensors": len(weights), "trusted": trusted})
        print(f"fetch {name}: {about['kind']} of {len(weights)} tensors from {path} (SHA-256 {digest[:12]}…, trusted {trusted})")

    def _taken(self, context: Context, name: str) -> "tuple[Path, str, dict[str, Tensor], dict[str, Any]]":
        """The file, its SHA-256, and the checkpoint that it makes.

        Raises:
            UserError: it can't be had, is not whole, or is not the network that it shall be.
        """
        from dbot.data.released import forget, hold_to_first_use, locate, note_first_use, refuse_twins
        from dbot.models.released.reading import Damaged
        from dbot.models.released.take_over import Stated, take_over

        params, noted = context.params, context.job.folder / FIRST_USE
        declared = params.released.files[name]
        path = locate(declared, params.released.weights_folder, params.released.download)
        digest = hold_to_first_use(path, declared, noted)
        architecture, stated = params.architectures[params.rows[declared.row].architecture], Stated(declared.entry, by_row=True)
        try:
            weights, about = take_over(path, declared.layout, architecture, stated, print)
        except Damaged:
            forget(path)
            raise
        if alien := [key for key in ("layer_scale", "registers", "positions", "activation") if key in about]:
            raise UserError(f"{path}: has {alien[0].replace('_', ' ')} that no student has; declare it under teachers, with kind: file")
        size = params.recipes.finetune[params.rows[declared.row].recipe].image_size or architecture.image_size
        if about.get("image_size", size) != size:
            remedy = f"get the file of that row, or set recipes.finetune.{params.rows[declared.row].recipe}.image_size"
            raise UserError(f"{path}: is a classifier of {about['image_size']} px, and row {declared.row} has one of {size}; {remedy}")
        # What has other figures can't be this file: where it lies under that one's name, that one is refused.
        refuse_twins(path, declared, [each for each in params.released.files.values() if _alike(params, each, declared)])
        note_first_use(path, digest, declared, noted)
        return path, digest, weights, about

    def work(self, estimate: Estimate, job: Job) -> Work:
        """What it leaves are the weights; a file may hold more beside them, such as the state of its training."""
        from dbot.data.released import is_at_hand

        params = estimate.params
        declared = params.released.files[job.key["released"]]
        kept = BYTES * _weights(estimate, declared)
        there = is_at_hand(declared, params.released.weights_folder)
        return Work(checkpoints=kept, downloads=0 if there else declared.bytes or kept)

    def model(self, job: Job, params: Params) -> Model:
        return Model(MODEL, "released", f"released weights {job.settings['released']['file']}")


FETCH = Fetch()


def _alike(params: Params, one: ReleasedFile, other: ReleasedFile) -> bool:
    """Whether one file would pass for the other by names and shapes."""
    return one.layout == other.layout and params.rows[one.row].architecture == params.rows[other.row].architecture


def _weights(estimate: Estimate, declared: ReleasedFile) -> int:
    """Numbers in a released file, as far as its row and layout tell."""
    params, row = estimate.params, declared.row
    architecture, recipe = estimate.architecture(row), params.recipes.pretrain.get(params.rows[row].recipe)
    if declared.is_classifier:
        tuned = params.recipes.finetune[params.rows[row].recipe]
        architecture = estimate.architecture(row, tuned.image_size)
        positions = (tuned.relative_positions, tuned.absolute_positions) if isinstance(tuned, SymmetricFinetune) else (False, True)
        head = 2 * architecture.width + estimate.classes(params.uses.cls) * (architecture.width + 1)
        return encoder_weights(architecture, declared.is_symmetric, *positions, architecture.depth) + head
    if recipe is None:
        return encoder_weights(architecture, declared.is_symmetric, declared.is_symmetric, not declared.is_symmetric)
    return student_weights(architecture, recipe, architecture.width)
