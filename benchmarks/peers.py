"""At equal time, what a user would pick instead: this method and lightly-train's self-supervised ones, on the same network and images.

Ours is row B-B of a scale of its own: a random teacher, two stages. Each of the others trains for as many epochs as fit into the CPU time
that our stages took, on one core. All are measured by the same k-NN and linear classifier on frozen features (`dbot measure`).

lightly-train has an environment of its own: `python3.11 -m venv build/peers-environment`, and in it `pip install 'lightly-train[timm]'`.
"""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import timm
import torch
import yaml

from benchmarks import pages
from benchmarks.peer import ARCHITECTURE, in_hub_form

PROJECT = Path(__file__).parents[1]
ENVIRONMENT = PROJECT / "build" / "peers-environment"
NETWORK = {"img_size": 32, "patch_size": 4, "embed_dim": 64, "depth": 4, "num_heads": 4}
BATCH = 64
PROBES = {("knn", "k = 10"): "k-NN, k = 10", ("linear", ""): "linear"}
"""By measure and part of `dbot measure`, the head of a column."""
SHOWS_NOT = (
    "What it does not show: one network of 64 x 4, one set of small images, minutes of one core, one seed, every method as its library "
    "sets it up and none tuned here. Contrastive methods are made for large batches and long trainings, masked ones for large networks; "
    "nothing here says which is better there. CPU seconds are those of the whole process, its start included."
)


def main() -> None:
    parser = pages.parser("peers", __doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="holds train/<class>/ and test/<class>/")
    parser.add_argument("--methods", nargs="+", default=["simclr", "dino"], help="of lightly-train (default: simclr dino)")
    parser.add_argument("--epochs", type=int, default=10, help="of each of our two stages (default: 10)")
    parser.add_argument("--limit", type=int, default=10_000, help="images to train on (default: 10000)")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help="of lightly-train (default: build/peers-environment)")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _pick(args.images / "train", work / "photographs" / "train", args.limit)
        _pick(args.images / "test", work / "photographs" / "val", args.limit // 4)
        _pick(args.images / "train", work / "probed" / "train", args.limit // 2)
        shutil.copytree(work / "photographs" / "val", work / "probed" / "val", copy_function=os.link)
        rows = _ours(work, args.epochs)
        budget = float(rows[-1][2])
        rows += [_theirs(work, method, budget, args.environment / "bin" / "python") for method in args.methods]
    heads = ["method", "epochs", "CPU s", *PROBES.values()]
    told = f"{args.limit:,} images to train on; probes from {args.limit // 2:,} of them, on {args.limit // 4:,} others. Top-1 in %."
    pages.write(args.output, "At equal time", [told, pages.table(heads, rows), SHOWS_NOT])


def _pick(source: Path, target: Path, limit: int) -> None:
    """Copy as many images of each class, the same ones whenever asked."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for each in classes:
        chosen = sorted(each.iterdir())
        random.Random(0).shuffle(chosen)
        (target / each.name).mkdir(parents=True)
        for path in chosen[: limit // len(classes)]:
            shutil.copy(path, target / each.name)


def _ours(work: Path, epochs: int) -> list[list[object]]:
    """Rows of the page: a network that was never trained, and the students of both stages, with all the time that they took."""
    project = work / "project"
    project.mkdir()
    shutil.copy(PROJECT / "params.yaml", project)
    shutil.copytree(PROJECT / "params", project / "params")
    architecture = {"title": "ViT 64 x 4", "image_size": 32, "patch_size": 4, "width": 64, "depth": 4, "heads": 4}
    overrides = {
        "uses": {"pretrain": "photographs", "cls": "photographs"},
        "build": {"rows": ["B-B"], "columns": ["cls"], "evidence": [], "sweeps": []},
        "architectures": {"B": architecture},
        "recipes": {
            "pretrain": {"asymmetric": {"epochs": epochs, "batch_size": BATCH}},
            **{dense: {"asymmetric": {"taps": [0, 1, 2, 3]}} for dense in ("detect", "segment")},  # not built; they must fit the network
        },
    }
    declared = {
        "datasets": {"photographs": {"root": str(work / "photographs")}},
        "scales": {"peers": {"title": "the same network and images", "extends": "demo", "overrides": overrides}},
    }
    (project / "params" / "peers.yaml").write_text(yaml.safe_dump(declared))
    top = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(re.sub(r"^include:.*$", r"\g<0>\n  - params/peers.yaml", top, count=1, flags=re.MULTILINE))
    _dbot(project, "prepare", "--dataset", "photographs", "--scale", "peers")
    rows: list[list[object]] = [["none: random weights", 0, 0, *_probed(work, project, _untrained(work / "peers" / "untrained"))]]
    seconds = 0.0
    for stage in (1, 2):
        _dbot(project, "distill", "--row", "B-B", "--stage", str(stage), "--scale", "peers")
        folder = project / "results" / "peers" / "distill" / "B-B" / f"stage{stage}"
        (execution,) = folder.glob("executions/*.json")
        seconds += sum(attempt["cpu_seconds"] for attempt in json.loads(execution.read_text())["attempts"])
        rows.append(
            [f"ours, {stage} stage(s)", stage * epochs, f"{seconds:.0f}", *_probed(work, project, str(folder / "student.safetensors"))]
        )
    return rows


def _untrained(folder: Path) -> str:
    """The network as it is drawn, in the form of timm's hub."""
    torch.manual_seed(0)
    in_hub_form(timm.create_model(ARCHITECTURE, **NETWORK, num_classes=0).state_dict(), NETWORK, folder)
    return str(folder)


def _theirs(work: Path, method: str, budget: float, python: Path) -> list[object]:
    """The row of one of lightly-train's methods: as many epochs as fit into the budget, in seconds, its start not counted."""
    one, two = (_trained(work, method, epochs, python) for epochs in (1, 2))
    epochs = max(1, int((budget - one) / max(1e-9, two - one)) + 1)
    seconds = _trained(work, method, epochs, python)
    return [f"lightly-train, {method}", epochs, f"{seconds:.0f}", *_probed(work, work / "project", str(work / "peers" / method))]


def _trained(work: Path, method: str, epochs: int, python: Path) -> float:
    output = work / "peers" / method
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    flags: Mapping[str, object] = {
        "images": work / "photographs" / "train",
        "output": output,
        "method": method,
        "epochs": epochs,
        "network": json.dumps(NETWORK),
    }
    command = [
        str(python),
        "-P",  # else modules beside it stand in for the standard ones of their names
        str(Path(__file__).with_name("peer.py")),
        *(part for name, value in flags.items() for part in (f"--{name}", str(value))),
    ]
    _run(command, work)
    return float(json.loads((output / "seconds.json").read_text()))


def _probed(work: Path, project: Path, checkpoint: str) -> list[str]:
    """What `dbot measure` finds in frozen features, by probe."""
    output = work / "measured"
    shutil.rmtree(output, ignore_errors=True)
    flags = ["--data", str(work / "probed"), "--as", "knn", "linear", "--pool", "average", "--output", str(output)]
    _dbot(project, "measure", checkpoint, *flags)
    with (output / "measured.csv").open(newline="") as file:
        found = {(row["measure"], row["part"]): float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "top-1"}
    return [f"{found[probe]:.1f}" for probe in PROBES]


def _dbot(project: Path, *arguments: str) -> None:
    _run([sys.executable, "-m", "dbot", *arguments], project)


def _run(command: Sequence[str], folder: Path) -> None:
    """On one core.

    Raises:
        SystemExit: it failed; its last lines.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n" + "\n".join(f"{done.stdout}{done.stderr}".splitlines()[-20:]))


if __name__ == "__main__":
    main()
