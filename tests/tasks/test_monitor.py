"""k-NN during pre-training: it measures what it should, and trains nothing."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from dbot.base.errors import UserError
from dbot.data.manifest import read_manifest
from dbot.distill.boundary import begin_stage
from dbot.measure.knn import knn
from dbot.params.load import load
from dbot.params.probes import Monitor
from dbot.tasks.features import by_encoder
from dbot.tasks.monitor import monitor
from dbot.tasks.pretrain import pretrain_task
from tests.conftest import PROJECT
from tests.processes import together
from tests.tasks.test_features import found
from tests.train.small import ALONE, ARCHITECTURE, RANDOM, execution_like, recipe_like, run, without_times

FIGURES = Monitor(every_epochs=2, train_images=36, validation_images=15, pooling="average", k=5, temperature=0.07)


def begun(demo, manifest, design="asymmetric-B", figures=FIGURES, processes=ALONE):
    recipe = recipe_like(demo.recipes.pretrain[design], drop_path=0.3, monitor=figures)
    student, teacher = begin_stage(ARCHITECTURE, recipe, 1, RANDOM, demo.normalisation)
    watched = None if figures is None else monitor(figures, recipe.precision, 0, manifest, demo.normalisation, processes, 4)
    return pretrain_task("test", student, teacher, recipe, 1, manifest, demo.normalisation, evaluate=watched)


@pytest.mark.parametrize("design", ["asymmetric-B", "symmetric"])
def test_it_measures_when_it_should_and_changes_no_bit(manifest, demo, tmp_path, design):
    watched, alone = begun(demo, manifest, design), begun(demo, manifest, design, figures=None)
    history = run(watched, tmp_path / "watched", execution_like(demo.execution)).history
    expected = run(alone, tmp_path / "alone", execution_like(demo.execution)).history
    assert [metrics["epoch"] for metrics in history if "knn" in metrics] == [2, 3], "every second epoch, and the last"
    assert all(torch.equal(tensor, alone.model.state_dict()[name]) for name, tensor in watched.model.state_dict().items())
    rest = [{name: value for name, value in metrics.items() if name != "knn"} for metrics in history]
    assert without_times(rest) == without_times(expected)


def test_no_random_state_moves(manifest, demo):
    task = begun(demo, manifest)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    task.evaluate(task.model.eval())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    assert all(parameter.grad is None for parameter in task.model.parameters())


def test_with_all_images_it_is_the_knn_probe(manifest, demo):
    task = begun(demo, manifest, figures=FIGURES.model_copy(update={"train_images": 1000, "validation_images": 1000}))
    describer = by_encoder(task.model.encoder.eval(), demo.normalisation, "average")
    train, validation = (found(describer, manifest, part=part, resize=256 / 224) for part in ("train", "validation"))
    expected = knn(train, validation, [5], 0.07, 3, ALONE)[5]
    assert task.evaluate(task.model.eval())["knn"] == pytest.approx(expected)


def test_its_images_are_the_same_share_of_every_class(manifest, demo, monkeypatch):
    seen = {}

    def spy(train, validation, *rest):
        seen.update(train=train.labels_N.bincount().tolist(), validation=validation.labels_N.bincount().tolist())
        return knn(train, validation, *rest)

    monkeypatch.setattr("dbot.tasks.monitor.knn", spy)
    task = begun(demo, manifest)
    task.evaluate(task.model.eval())
    assert seen == {"train": [12, 12, 12], "validation": [5, 5, 5]}


def test_what_cannot_be_measured_is_one_line(manifest, demo):
    with pytest.raises(UserError, match=r"^monitor.k is 40, but only 36 training images"):
        begun(demo, manifest, figures=FIGURES.model_copy(update={"k": 40}))

    class Unlabelled:
        title, root = "photographs", manifest.root

        def samples(self, part):
            return dataclasses.replace(manifest.samples(part), labels=np.full(manifest.counts[part], -1))

    with pytest.raises(UserError, match="'photographs' has none; set monitor to null"):
        begun(demo, Unlabelled())


def trained(group, folder):
    demo = load(PROJECT / "params.yaml", "demo").params
    task = begun(demo, read_manifest(Path((folder / "manifest").read_text())), processes=group)
    history = run(task, folder / "state", execution_like(demo.execution), group).history
    return {"weights": task.model.state_dict(), "knn": [metrics["knn"] for metrics in history if "knn" in metrics]}


def test_two_processes_measure_the_same(manifest, demo, tmp_path):
    (tmp_path / "manifest").write_text(str(manifest.folder))
    first, second = together(trained, tmp_path)
    assert first["knn"] == second["knn"]
    assert len(first["knn"]) == 2
    assert all(torch.equal(tensor, second["weights"][name]) for name, tensor in first["weights"].items())
    task = begun(demo, manifest)
    task.model.load_state_dict(first["weights"])
    assert task.evaluate(task.model.eval())["knn"] == pytest.approx(first["knn"][-1]), "one process, the same student"
