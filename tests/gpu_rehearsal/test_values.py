"""Verbs from the command line on a GPU whose values are real: the CPU's numbers, and the same bits after an interruption."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, chdir, nullcontext
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from dbot.cli import main
from dbot.train import loop
from tests.e2e.project import lay
from tests.gpu_rehearsal.emulated import emulated_gpu
from tests.gpu_rehearsal.pretended import why_not
from tests.params_text import params_text

pytestmark = [pytest.mark.rehearsal, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]

SHORT: dict[str, Any] = {"epochs": 2, "warmup_epochs": 1, "batch_size": 8}
SHORTER: dict[str, Any] = {"epochs": 1, "warmup_epochs": 0.5, "batch_size": 4}
FEW: dict[str, Any] = {"embedded": {"train": 40, "validation": 10}}
FEWER: dict[str, Any] = {"embedded": {"train": 8, "validation": 4}}
SMALL: dict[str, Any] = {
    "rows": {"B-B": {"stages": {"cls": 1, "det": 1, "seg": 1}}},
    "build": {"columns": ["cls", "det", "seg"]},
    "datasets": {"digits": FEW, "outlines": FEW, "scenes-boxes": FEWER, "scenes-maps": FEWER},
    "probes": {"knn": {"k": [1, 5]}},
    "recipes": {
        "pretrain": {"asymmetric": SHORT},
        "finetune": {"asymmetric": {**SHORT, "evaluate_every": 1, "label_fraction": 1.0}},
        "transfer": {"asymmetric": {**SHORT, "evaluate_every": 1}},
        "detect": {"asymmetric": SHORTER},
        "segment": {"asymmetric": SHORTER},
    },
    "execution": {"device": "auto", "mlflow": False, "workers": 0, "state_every_seconds": 1e-3},
}
"""On the demo's scale: networks of its size, as short as they get."""
DATA = ("digits", "outlines", "scenes-boxes", "scenes-maps")
STUDENT, BACKBONE = "distill/B-B/stage1/student", "finetune/B-B/seed0/last"
DETECTOR, SEGMENTER, TRANSFERRED = "detect/B-B/seed0/model", "segment/B-B/seed0/model", "transfer/B-B/outlines/seed0/model"
VERBS = (
    ("distill", "--row", "B-B", "--stage", "1"),
    ("finetune", "--row", "B-B", "--seed", "0"),
    ("evaluate", "--row", "B-B", "--column", "cls", "--seed", "0"),
)
"""What is quick."""
MORE = (
    ("transfer", "--row", "B-B", "--dataset", "outlines", "--seed", "0"),
    ("detect", "--row", "B-B", "--seed", "0"),
    ("segment", "--row", "B-B", "--seed", "0"),
    *(("evaluate", "--row", "B-B", "--column", column, "--seed", "0") for column in ("det", "seg")),
    ("probe", "--row", "B-B", "--stage", "1"),
    ("analyse", "--row", "B-B", "--stage", "1"),
    ("embed", f"results/demo/{STUDENT}.safetensors", "data/digits/val", "--output", "features.npz"),
    ("export", "results/demo/finetune/B-B/seed0/receipt.json", "--output", "exported"),
    *(
        ("predict", "data/digits/val", "--checkpoint", f"results/demo/{name}.safetensors", "--output", output)
        for name, output in ((DETECTOR, "found"), (SEGMENTER, "labelled"))
    ),
    ("calibrate", "row_B-B", "--seconds", "0.01"),
)
CLOSE = {"rtol": 1e-3, "atol": 1e-4}
"""Sums are in another order, since a GPU takes other paths; over the steps of a training that adds up to this at most."""
RESULTS = Path("results/demo")


def _project(folder: Path, *more: dict[str, Any]) -> Path:
    """A project with the demo's parameters and some overrides, its digits drawn."""
    folder.mkdir()
    document = yaml.safe_load(params_text())
    for overrides in (SMALL, *more):
        lay(document["scales"]["demo"]["overrides"], overrides)
    (folder / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    _draw(folder, DATA[:1])
    return folder


def _draw(folder: Path, data: Iterable[str]) -> None:
    with chdir(folder):
        for dataset, verb in product(data, ("generate", "prepare")):
            assert main([verb, "--dataset", dataset]) == 0


DEVICES: dict[str, Callable[[], AbstractContextManager[None]]] = {"cpu": nullcontext, "gpu": emulated_gpu}


def _run(folders: dict[str, Path], verbs: Iterable[Sequence[str]]) -> dict[str, Path]:
    for device, folder in folders.items():
        with chdir(folder), DEVICES[device]():
            for verb in verbs:
                assert main(list(verb)) == 0, f"{verb} on {device}"
    return folders


@pytest.fixture(scope="module")
def on_each(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Projects in which the quick verbs ran, by device."""
    return _run({device: _project(tmp_path_factory.mktemp("values") / device) for device in DEVICES}, VERBS)


@pytest.fixture(scope="module")
def all_on_each(on_each: dict[str, Path]) -> dict[str, Path]:
    """Projects in which every verb ran, by device."""
    for folder in on_each.values():
        _draw(folder, DATA[1:])
    return _run(on_each, MORE)


def _is_taken_away(name: str) -> bool:
    """Whether batch normalisation takes a bias away again: its gradient is rounding, which AdamW makes steps of. Or the mean with it."""
    return (name.startswith("pyramid.resamplers.") and name.endswith(".bias")) or name.endswith(".running_mean")


def _same_weights(folders: dict[str, Path], file: str) -> None:
    ours, cpus = (load_file(folders[device] / RESULTS / f"{file}.safetensors") for device in ("gpu", "cpu"))
    assert ours.keys() == cpus.keys()
    for name, values in ((name, values) for name, values in ours.items() if not _is_taken_away(name)):
        torch.testing.assert_close(values, cpus[name], **CLOSE, msg=lambda said, name=name: f"{name}: {said}")


def _same_metrics(folders: dict[str, Path], job: str) -> None:
    ours, cpus = (json.loads((folders[device] / RESULTS / job / "metrics.json").read_text()) for device in ("gpu", "cpu"))
    assert ours == pytest.approx(cpus, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("file", [STUDENT, BACKBONE])
def test_weights_are_those_of_the_cpu(on_each: dict[str, Path], file: str) -> None:
    _same_weights(on_each, file)


def test_what_was_measured_is_what_the_cpu_measured(on_each: dict[str, Path]) -> None:
    _same_metrics(on_each, "evaluate/B-B/cls/seed0")


def test_a_receipt_names_the_device(on_each: dict[str, Path]) -> None:
    assert "emulated" in (on_each["gpu"] / RESULTS / "distill/B-B/stage1/receipt.json").read_text()


@pytest.mark.parametrize("file", [TRANSFERRED, DETECTOR, SEGMENTER])
def test_weights_of_the_other_trainings_are_those_of_the_cpu(all_on_each: dict[str, Path], file: str) -> None:
    _same_weights(all_on_each, file)


@pytest.mark.parametrize("job", ["evaluate/B-B/det/seed0", "evaluate/B-B/seg/seed0", "probe/B-B/stage1", "analyse/B-B/stage1"])
def test_the_other_measurements_are_those_of_the_cpu(all_on_each: dict[str, Path], job: str) -> None:
    _same_metrics(all_on_each, job)


def test_features_are_those_of_the_cpu(all_on_each: dict[str, Path]) -> None:
    ours, cpus = (np.load(all_on_each[device] / "features.npz")["features"] for device in ("gpu", "cpu"))
    np.testing.assert_allclose(ours, cpus, **CLOSE)


def test_the_same_files_are_left(all_on_each: dict[str, Path]) -> None:
    for output in ("exported", "found", "labelled"):
        ours, cpus = ({path.relative_to(folder) for path in (folder / output).rglob("*")} for folder in all_on_each.values())
        assert ours == cpus


def test_calibration_names_the_device(all_on_each: dict[str, Path]) -> None:
    assert "emulated" in (all_on_each["gpu"] / RESULTS / "calibration.json").read_text()


class _Killed(BaseException):
    """Stands for a signal that nothing survives."""


def test_a_training_that_was_killed_ends_with_the_same_bits(on_each: dict[str, Path], tmp_path: Path) -> None:
    update, taken = loop._update, 0

    def dying(*args: Any) -> bool:
        nonlocal taken
        taken += 1
        if taken == 7:
            raise _Killed
        return update(*args)

    verb = VERBS[0]
    with chdir(_project(tmp_path / "killed")), emulated_gpu():
        with patch("dbot.train.loop._update", dying), pytest.raises(_Killed):
            main(list(verb))
        assert main(list(verb)) == 0
        killed = (RESULTS / "distill/B-B/stage1/student.safetensors").read_bytes()
    assert killed == (on_each["gpu"] / RESULTS / "distill/B-B/stage1/student.safetensors").read_bytes()


def test_a_step_that_went_wrong_is_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steep = {"recipes": {"pretrain": {"asymmetric-B": {"optimizer": {"learning_rate": 1e30}}}}}
    with chdir(_project(tmp_path / "steep", steep)), emulated_gpu():
        assert main(list(VERBS[0])) == 2
        found = re.search(r"`dbot replay (state/\S+)` does the step again", capsys.readouterr().err)
        assert found is not None
        assert main(["replay", found[1]]) == 0
    assert re.search(r"^  loss (nan|inf)$", capsys.readouterr().out, re.MULTILINE)
