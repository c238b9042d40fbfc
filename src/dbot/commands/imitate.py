"""Write files in the layouts of the released ones, with small networks in them, to try what starts from them without them."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbot.base.errors import UserError
from dbot.params.document import Params
from dbot.params.load import load
from dbot.params.teachers import ReleasedFile
from dbot.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor, nn

INDEX = "relative_position_index"
"""A buffer that follows from the grid: ours is not saved, theirs is."""
EPOCH = 99
"""At which the training that a file came from ended: any."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the files go; those that are there stay")
    parser.add_argument("--like", metavar="SCALE", help="take the networks that this scale has trained (default: random weights)")


def run(args: argparse.Namespace) -> None:
    from dbot.models.released.envelope import silent
    from dbot.models.released.take_over import Stated, take_over

    params = load(args.params, args.scale).params
    trained = None if args.like is None else Plan(load(args.params, args.like))
    args.output.mkdir(parents=True, exist_ok=True)
    for name, declared in params.released.files.items():
        path = args.output / declared.file
        if path.exists():
            print(f"{path}: is there already, and stays")
            continue
        weights, indices = random_weights(params, name, declared) if trained is None else _trained(trained, declared)
        _write(path, declared, weights, indices)
        architecture = params.architectures[params.rows[declared.row].architecture]
        take_over(path, declared.layout, architecture, Stated(by_row=True), silent)  # what is written can be read
        print(f"{path}: {len(weights)} tensors of layout {declared.layout}, {path.stat().st_size:,} bytes")


def random_weights(params: Params, name: str, declared: ReleasedFile) -> "tuple[dict[str, Tensor], dict[str, Tensor]]":
    """The weights of a file's network, drawn by its name and named as ours, and the indices of its tables of positions."""
    from dbot.base.seeds import generator
    from dbot.distill.designs import DESIGNS
    from dbot.tasks.classify import classifier_for, initialise_classifier

    row = params.rows[declared.row]
    architecture, seed = params.architectures[row.architecture], list(params.released.files).index(name)
    network: nn.Module
    if declared.is_classifier:
        tuned = params.recipes.finetune[row.recipe]
        network = classifier_for(architecture, tuned, params.datasets[params.uses.cls].classes or 10, None)
        initialise_classifier(network, tuned, seed)
    else:
        recipe = params.recipes.pretrain[row.recipe]
        network = DESIGNS[recipe.design].student(architecture, recipe, architecture.width)
        DESIGNS[recipe.design].initialise(network, generator(seed, "student"), recipe)
    return network.state_dict(), {name: buffer for name, buffer in network.named_buffers() if name.endswith(INDEX)}


def _trained(plan: Plan, declared: ReleasedFile) -> "tuple[dict[str, Tensor], dict[str, Tensor]]":
    """The weights of what a scale has trained in its place.

    Raises:
        UserError: it hasn't.
    """
    from dbot.models import checkpoint

    row = plan.row(declared.row)
    job = plan.classifier(declared.row, 0) if declared.is_classifier else plan.student(declared.row, row.stages.cls if row.stages else 1)
    made = job.kind.model(job, plan.params)
    assert made is not None
    path = job.folder / made.file
    if not path.is_file():
        raise UserError(f"{path}: is not here, and {declared.file} shall hold it; run first: {job.command}")
    return checkpoint.load(path)[0], {}


def _write(path: Path, declared: ReleasedFile, weights: "Mapping[str, Tensor]", indices: "Mapping[str, Tensor]") -> None:
    """Save weights as those who trained the published ones did: named as the layout has it, with what surrounds a checkpoint."""
    import io

    import torch

    from dbot.base.files import write_whole
    from dbot.models.released.layouts import theirs

    named = {theirs(name, declared.layout): tensor.contiguous() for name, tensor in weights.items()}
    named |= {name.removeprefix("encoder."): index for name, index in indices.items()}
    content: dict[str, Any] = {
        "model": named,
        "optimizer": {"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
        "epoch": EPOCH,
        "scaler": {"scale": 65536.0, "growth_interval": 2000},
        "args": argparse.Namespace(model=declared.row, batch_size=128, output_dir="output"),
    }
    stream = io.BytesIO()
    torch.save(content, stream)
    write_whole(path, stream.getvalue())
