"""Probes without a plan are the probes of a plan; few-shot draws are even, repeatable, and refused where a class has too few."""

from pathlib import Path

import numpy
import pytest
import timm
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

from dbot.base.errors import UserError
from dbot.data.at_hand import labelled_folder
from dbot.measure.knn import LabelledFeatures
from dbot.models.subject import Wanted, subject_of
from dbot.params.probes import FewShot
from dbot.tasks.measuring.cost import flops
from dbot.tasks.measuring.frozen import both_parts, describer, draw, few_shot, linear, nearest
from tests.tasks.measuring.coloured import RUN, subject

FEW = FewShot(images=[1, 4], draws=3, seed=0, strength=0.1)


def clouds(images: int, seed: int, classes: int = 3, width: int = 5) -> LabelledFeatures:
    draws = numpy.random.default_rng(seed)
    labels = numpy.arange(images) % classes
    centres = numpy.random.default_rng(0).normal(size=(classes, width))
    values = centres[labels] + 0.6 * draws.normal(size=(images, width))
    return LabelledFeatures(torch.from_numpy(values).float(), torch.from_numpy(labels))


def test_draws_are_even_and_repeatable() -> None:
    labels = numpy.array([0] * 5 + [1] * 9 + [2] * 4)
    chosen = draw(labels, 4, seed=0, number=0)
    assert numpy.bincount(labels[chosen]).tolist() == [4, 4, 4]
    assert (chosen == draw(labels, 4, 0, 0)).all()
    assert len({tuple(draw(labels, 2, seed, number)) for seed in (0, 1) for number in range(4)}) > 4
    with pytest.raises(UserError, match="names 5 images of a class, and one has only 4; take 5 out"):
        draw(labels, 5, 0, 0)


def test_few_shot_accuracy_is_that_of_scikit_learn(demo) -> None:
    train, validation = clouds(60, 1), clouds(90, 2)
    found = few_shot(train, validation, 3, FEW, demo.probes.linear, RUN)
    for each in FEW.images:
        top1 = []
        for number in range(FEW.draws):
            chosen = draw(train.labels_N.numpy(), each, FEW.seed, number)
            rows = train.values_ND[chosen].double().numpy()
            mean, std = rows.mean(axis=0), rows.std(axis=0)
            model = LogisticRegression(C=1 / (FEW.strength * len(chosen)), tol=1e-8, max_iter=5000)
            model.fit((rows - mean) / std, train.labels_N[chosen])
            top1.append(100 * model.score((validation.values_ND.double().numpy() - mean) / std, validation.labels_N))
        ours = {one.metric: one.value for one in found if one.part.startswith(f"{each} a class")}
        assert ours["top-1"] == pytest.approx(numpy.mean(top1), abs=1.2), "one image of 90 may fall on the other side"
        assert ours["sd"] == pytest.approx(numpy.std(top1, ddof=1), abs=1.2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draws = numpy.random.default_rng(0)
    for part, count in (("train", 12), ("val", 5)):
        for label in range(2):
            (tmp_path / part / f"class {label}").mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 60, (32, 32, 3)) + 150 * label
                Image.fromarray(pixels.astype("uint8")).save(tmp_path / part / f"class {label}" / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext"])
def test_any_network_of_timm_is_probed(folder: Path, demo, name: str) -> None:
    found = subject_of(name, "random", Wanted(image_size=64), {}, demo.normalisation)
    train, validation = both_parts(describer(found, None), labelled_folder(folder), RUN)
    near = nearest(train, validation, 2, demo.probes.knn, RUN)
    assert [one.part for one in near] == [f"k = {k}" for k in demo.probes.knn.k]
    assert near[0].value == 100, "black and white are told apart by random features"
    assert linear(train, validation, 2, demo.probes.linear, RUN)[0].value == 100


def test_what_has_no_features_is_one_line(demo) -> None:
    with pytest.raises(UserError, match="colours: has no features that could be taken from it"):
        describer(subject(), None)
    found = subject_of("test_resnet", "random", Wanted(), {}, demo.normalisation)
    with pytest.raises(UserError, match="--pool is average: test_resnet has no tokens"):
        describer(found, "average")


def test_flops_are_those_of_the_configuration(demo) -> None:
    from dataclasses import replace

    from dbot.flops import classifier
    from dbot.params.teachers import Architecture

    network = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=5)
    tiny = Architecture(title="", image_size=32, patch_size=8, width=24, depth=2, heads=2, mlp_ratio=4.0)
    expected = classifier(tiny, 5).inference("fp32").total
    assert flops(replace(subject(), network=network.eval(), image_size=32), torch.device("cpu")) == expected
