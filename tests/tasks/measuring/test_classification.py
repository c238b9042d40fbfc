"""Classifiers on folders and on the sets that try them: each set in the layout that people download, with known predictions."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from timm.data.real_labels import RealLabelsImagenet
from torchvision.transforms.functional import pil_to_tensor

from dbot.base.errors import UserError
from dbot.data.at_hand import labelled_folder
from dbot.data.layouts.corruptions import GROUPS
from dbot.measure.outputs import Matching
from dbot.measure.robustness import ALEXNET, recognised, subset_ids
from dbot.models.released.envelope import silent
from dbot.models.subject import squashed
from dbot.tasks.measuring.classification import classify, on_set, on_validation
from tests.tasks.measuring.coloured import IDS, RUN, image, subject, values


def test_scores_of_a_folder_of_classes(tmp_path: Path) -> None:
    for name, firsts in {IDS[7]: (7, 7, 8), IDS[900]: (900, 7)}.items():
        for number, first in enumerate(firsts):
            image(tmp_path / name / f"{number}.png", first, second=9)
    found, scores = on_validation(subject(), labelled_folder(tmp_path), RUN, False, silent)
    assert values(found)["top-1"] == pytest.approx(60)
    # Among 1,000 logits of which one is 10, one 5 and the others 0.
    total = math.exp(10) + math.exp(5) + 998
    confidence = math.exp(10) / total
    assert values(found)["ECE"] == pytest.approx(100 * (confidence - 0.6), abs=1e-4)
    rest = math.exp(5) / total, 1 / total
    right = (1 - confidence) ** 2 + rest[0] ** 2 + 998 * rest[1] ** 2
    wrong = (1 - rest[1]) ** 2 + confidence**2 + rest[0] ** 2 + 997 * rest[1] ** 2
    assert values(found)["Brier score"] == pytest.approx((3 * right + 2 * wrong) / 5, rel=1e-4)
    assert {one.images for one in found} == {scores.images} == {5}


def test_a_subset_looks_at_its_own_outputs_only(tmp_path: Path) -> None:
    image(tmp_path / IDS[3] / "a.png", 600, second=3)
    image(tmp_path / IDS[4] / "b.png", 4)
    images = labelled_folder(tmp_path)
    whole, own = (values(on_validation(subject(), images, RUN, subset, silent)[0]) for subset in (False, True))
    assert (whole["top-1"], own["top-1"]) == (50, 100)


def test_class_names_of_the_classifier_come_first(tmp_path: Path) -> None:
    image(tmp_path / "val" / "cat" / "1.png", 1)
    image(tmp_path / "val" / "ant" / "1.png", 2)
    image(tmp_path / "train" / "cat" / "1.png", 1)
    image(tmp_path / "train" / "ant" / "1.png", 1)
    found, _ = on_validation(subject(3, ["dog", "cat", "ant"]), labelled_folder(tmp_path), RUN, False, silent)
    assert values(found)["top-1"] == 100


def test_imagenet_v2_goes_by_numbers(tmp_path: Path) -> None:
    for name, first in {"0": 0, "2": 2, "10": 10, "999": 1}.items():
        image(tmp_path / name / "x.png", first)
    assert recognised(tmp_path) == "imagenet-v2"
    assert values(on_set("imagenet-v2", subject(), tmp_path, RUN, None, silent))["top-1"] == 75, "10 stands before 2 among names"
    image(tmp_path / "1000" / "x.png", 0)
    with pytest.raises(UserError, match="1000: is not called as a class of this set is"):
        on_set("imagenet-v2", subject(), tmp_path, RUN, None, silent)


@pytest.mark.parametrize("name", ["imagenet-a", "imagenet-r"])
def test_sets_of_200_classes_are_measured_among_their_own(tmp_path: Path, name: str) -> None:
    ids = sorted(subset_ids(name))
    assert len(ids) == 200
    own = [IDS.index(one) for one in ids]
    second = next(number for number in own if number < 256)
    stranger = next(number for number in range(1000) if number not in own)
    for number, one in enumerate(ids):
        image(tmp_path / one / "x.png", own[number])
    image(tmp_path / IDS[second] / "y.png", stranger, second)
    image(tmp_path / IDS[own[-1]] / "y.png", stranger, second)
    assert recognised(tmp_path) == name
    assert values(on_set(name, subject(), tmp_path, RUN, None, silent))["top-1"] == pytest.approx(100 * 201 / 202)


def test_sketch_is_measured_among_all(tmp_path: Path) -> None:
    image(tmp_path / IDS[800] / "sketch_0.png", 0, second=1)
    image(tmp_path / IDS[4] / "sketch_1.png", 600, second=4)
    found = values(on_set("imagenet-sketch", subject(), tmp_path, RUN, None, silent))
    assert (found["top-1"], found["top-5"]) == (0, 50)


def test_real_leaves_out_images_without_labels(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    predictions = {1: 5, 2: 5, 3: 5, 4: 7, 5: 9}
    for number, first in predictions.items():
        image(folder / IDS[5] / f"ILSVRC2012_val_{number:08d}.png", first, second=8)
    (tmp_path / "real.json").write_text(json.dumps([[5], [6, 5], [], [6], [8, 2]]))
    found = on_set("imagenet-real", subject(), folder, RUN, tmp_path / "real.json", silent)
    assert values(found) == {"top-1": 50, "top-5": 75}
    assert {one.images for one in found} == {4}
    (tmp_path / "real.json").write_text(json.dumps([[], [], [], [], []]))
    with pytest.raises(UserError, match="no image of it has a ReaL label"):
        on_set("imagenet-real", subject(), folder, RUN, tmp_path / "real.json", silent)


def test_timm_counts_real_labels_alike(tmp_path: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    labels = [torch.randint(0, 12, (int(count),), generator=draws).tolist() for count in torch.randint(0, 4, (40,), generator=draws)]
    (tmp_path / "real.json").write_text(json.dumps(labels))
    names = [f"ILSVRC2012_val_{number + 1:08d}.JPEG" for number in range(40)]
    theirs = RealLabelsImagenet(names, str(tmp_path / "real.json"))
    logits = torch.zeros(40, 1000)
    for number, name in enumerate(names):
        first, second = torch.randperm(12, generator=draws)[:2].tolist()
        image(tmp_path / "images" / IDS[0] / f"{Path(name).stem}.png", first, second)
        logits[number, second], logits[number, first] = 5, 10
    theirs.add_result(logits)
    found = values(on_set("imagenet-real", subject(), tmp_path / "images", RUN, tmp_path / "real.json", silent))
    assert found["top-1"] == pytest.approx(theirs.get_accuracy(1))


@pytest.mark.parametrize("grouped", [False, True])
def test_corruption_errors_are_normalised_by_alexnets(tmp_path: Path, grouped: bool) -> None:
    by_hand = []
    for place, (corruption, alexnet) in enumerate(ALEXNET.items()):
        errors = []
        for severity in range(1, 6):
            # Of four images so many are wrong as corruption and severity say.
            wrong = (place + severity) % 5
            errors.append(25.0 * wrong)
            for number in range(4):
                group = GROUPS[place % 4] if grouped else "."
                image(tmp_path / group / corruption / str(severity) / IDS[20] / f"{number}.png", 21 if number < wrong else 20)
        by_hand.append(100 * sum(errors) / (5 * alexnet))
    assert recognised(tmp_path) == "imagenet-c"
    found = on_set("imagenet-c", subject(), tmp_path, RUN, None, silent)
    assert values(found)["mCE"] == pytest.approx(sum(by_hand) / 15)
    assert {one.part: one.value for one in found if one.metric == "CE"} == pytest.approx(dict(zip(ALEXNET, by_hand, strict=True)))
    assert sum(one.metric == "error" for one in found) == 75
    assert found[0].images == 300


def test_what_the_sets_need(tmp_path: Path) -> None:
    image(tmp_path / "noise" / "gaussian_noise" / "1" / IDS[0] / "x.png", 0)
    with pytest.raises(UserError, match=r"gaussian_noise/2: is missing \(ImageNet-C has severities 1 to 5\)"):
        on_set("imagenet-c", subject(), tmp_path, RUN, None, silent)
    with pytest.raises(UserError, match="lacks the corruption gaussian_noise"):
        on_set("imagenet-c", subject(), tmp_path / "noise" / "gaussian_noise", RUN, None, silent)
    with pytest.raises(UserError, match="has 10 outputs, and imagenet-a is for classifiers of ImageNet's 1,000 classes"):
        on_set("imagenet-a", subject(10), tmp_path, RUN, None, silent)
    with pytest.raises(UserError, match="has no classifier, which imagenet-a needs"):
        on_set("imagenet-a", subject(0), tmp_path, RUN, None, silent)
    with pytest.raises(UserError, match="is none of the sets that are known by their folders"):
        recognised(tmp_path / "noise" / "gaussian_noise" / "1" / IDS[0])
    with pytest.raises(UserError, match=r"x\.png: isn't called ILSVRC2012_val_<number>"):
        on_set("imagenet-real", subject(), tmp_path / "noise" / "gaussian_noise" / "1", RUN, None, silent)


def test_corrupted_images_are_not_cropped(tmp_path: Path) -> None:
    tight = replace(subject(), prepared={**subject().prepared, "crop_pct": 0.5})
    picture = Image.effect_noise((8, 8), 50).convert("RGB")
    assert torch.equal(squashed(tight)(pil_to_tensor(picture)), pil_to_tensor(picture))


def test_batches_change_nothing(tmp_path: Path) -> None:
    for number in range(7):
        image(tmp_path / IDS[number] / "x.png", number if number % 3 else 30)
    images = labelled_folder(tmp_path)
    matching = Matching(list(range(7)), "")
    one, all_ = (classify(subject(), images.parts["validation"], matching, replace(RUN, batch=batch)) for batch in (1, 64))
    assert one.metrics == pytest.approx(all_.metrics)
    assert one.top1 == pytest.approx(100 * 4 / 7)


def test_a_thousand_classes_may_be_imagenet_itself(tmp_path: Path) -> None:
    for name in IDS:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"say which it is \(--as cls or imagenet-sketch\)"):
        recognised(tmp_path)
