"""Fine-tuning learns, and its evaluation counts every image once."""

from pathlib import Path

import pytest
import torch

from dbot.base.seeds import generator
from dbot.data.manifest import read_manifest
from dbot.models.classifier import build_classifier, initialise_head
from dbot.models.encoder import initialise
from dbot.models.symmetric import Positions, SymmetricStudent
from dbot.params.load import load
from dbot.tasks.classify import classifier_for, evaluate, finetune_task, initialise_classifier
from tests.conftest import PROJECT
from tests.processes import together
from tests.train.small import ALONE, ARCHITECTURE, execution_like, run


def classifier(seed: int = 0, size: int = 16):
    model = build_classifier(ARCHITECTURE, 3, size, "average")
    initialise(model, generator(seed, "classifier"))
    initialise_head(model, 0.1, generator(seed, "head"))
    return model


def recipe_like(demo, **changes):
    recipe = demo.recipes.finetune["asymmetric-B"]
    small = {"epochs": 6, "warmup_epochs": 1, "batch_size": 12, "evaluate_every": 3, "label_fraction": 1.0}
    return recipe.model_copy(update={**small, **changes})


def measured(model, manifest, demo, processes=ALONE, batch=5):
    return evaluate(model.eval(), 1.0, 16, "fp32", manifest, demo.normalisation, processes, batch).metrics


def test_learns_and_keeps_the_best(manifest, demo, tmp_path):
    model = classifier()
    before = measured(model, manifest, demo)
    task = finetune_task("test", model, recipe_like(demo), 0, manifest, demo.normalisation, ALONE, 12)
    outcome = run(task, tmp_path, execution_like(demo.execution), batch=12)
    after = measured(model, manifest, demo)
    assert after["top1"] > 90 > before["top1"]
    assert [metrics["epoch"] for metrics in outcome.history if "top1" in metrics] == [3, 6]
    assert outcome.history[-1]["top1"] == pytest.approx(after["top1"])
    best = classifier()
    best.load_state_dict(outcome.best)
    assert measured(best, manifest, demo)["top1"] == max(metrics["top1"] for metrics in outcome.history if "top1" in metrics)


def test_a_symmetric_classifier_learns(manifest, demo, tmp_path):
    recipe = demo.recipes.finetune["symmetric-B"].model_copy(
        update={"epochs": 6, "warmup_epochs": 1, "batch_size": 12, "evaluate_every": 3, "label_fraction": 1.0}
    )
    model = classifier_for(ARCHITECTURE, recipe, 3, None)
    initialise_classifier(model, recipe, 0)
    before = measured(model, manifest, demo)
    task = finetune_task("test", model, recipe, 0, manifest, demo.normalisation, ALONE, 12)
    run(task, tmp_path, execution_like(demo.execution), batch=12)
    assert measured(model, manifest, demo)["top1"] > 90 > before["top1"]


@pytest.mark.parametrize("name", ["asymmetric-B", "symmetric-B"])
def test_initial_classifiers_come_from_the_seed(demo, name):
    recipe = demo.recipes.finetune[name]

    def drawn(seed):
        model = classifier_for(ARCHITECTURE, recipe, 3, None)
        initialise_classifier(model, recipe, seed)
        return model.state_dict()

    one, again, other = drawn(0), drawn(0), drawn(1)
    assert all(torch.equal(tensor, again[weight]) for weight, tensor in one.items())
    assert not torch.equal(one["head.weight"], other["head.weight"])
    std = recipe.head_init_std * getattr(recipe, "head_scale", 1.0)
    assert one["head.weight"].std().item() == pytest.approx(std, rel=0.3)
    assert one["head.bias"].abs().max() == 0


@pytest.mark.parametrize(("absolute", "relative"), [(False, True), (True, False), (True, True)])
def test_a_classifier_has_the_positions_of_its_start(demo, absolute, relative):
    recipe = demo.recipes.finetune["symmetric-B"]
    start = SymmetricStudent(ARCHITECTURE, Positions(relative, absolute), 0.1, 16).state_dict()
    model = classifier_for(ARCHITECTURE, recipe, 3, start)
    assert (model.pos_embed is not None, model.blocks[0].attn.relative_position_bias_table is not None) == (absolute, relative)
    again = classifier_for(ARCHITECTURE, recipe, 3, model.state_dict())
    assert again.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("mixing", [{"mixup": 0.8, "cutmix": 1.0}, {"mixup": 0.0, "cutmix": 0.0}])
def test_the_papers_augmentation_runs(manifest, paper, demo, tmp_path, mixing):
    augmentation = paper.recipes.finetune["asymmetric-B"].augmentation
    augmentation = augmentation.model_copy(update={"mixup": augmentation.mixup.model_copy(update=mixing)})
    recipe = recipe_like(demo, epochs=2, augmentation=augmentation)
    task = finetune_task("test", classifier(), recipe, 0, manifest, demo.normalisation, ALONE, 12)
    assert run(task, tmp_path, execution_like(demo.execution), batch=12).history[-1]["loss"] > 0


def test_the_number_of_images_at_once_changes_nothing(manifest, demo):
    model = classifier()
    assert measured(model, manifest, demo, batch=1) == pytest.approx(measured(model, manifest, demo, batch=64))


def evaluate_shared(group, folder: Path):
    demo = load(PROJECT / "params.yaml", "demo").params
    return measured(classifier(), read_manifest(Path((folder / "manifest").read_text())), demo, group)


@pytest.mark.parametrize("world", [2, 3])
def test_every_image_counts_once_on_any_number_of_processes(manifest, demo, tmp_path, world):
    (tmp_path / "manifest").write_text(str(manifest.folder))
    alone = measured(classifier(), manifest, demo)
    for found in together(evaluate_shared, tmp_path, world):
        assert found == pytest.approx(alone), "33 images don't divide evenly, and still each counts once"


def test_accuracy_equals_a_count_by_hand(manifest, demo):
    from dbot.data.images import read_image
    from dbot.data.transforms import normalise

    model = classifier().eval()
    samples = manifest.samples("validation")
    images = torch.stack([read_image(manifest.root / str(path)) for path in samples.paths])
    with torch.no_grad():
        predicted = model(normalise(images, demo.normalisation)).argmax(dim=1)
    right = sum(int(p) == int(label) for p, label in zip(predicted, samples.labels, strict=True))
    assert measured(model, manifest, demo)["top1"] == pytest.approx(100 * right / len(samples))
