"""The corruption error's formula, and the label lists."""

import json

import pytest
import torch

from dbot.base.errors import UserError
from dbot.measure.robustness import ALEXNET, mean_corruption_error, on_list, real_labels, real_of


def test_alexnet_has_an_error_of_100():
    mean, relative = mean_corruption_error({name: [error] * 5 for name, error in ALEXNET.items()})
    assert mean == pytest.approx(100)
    assert list(relative.values()) == pytest.approx([100] * 15)


def test_resnet_50_has_the_error_that_was_published():
    """Hendrycks & Dietterich, table 1: errors of ResNet-50 over AlexNet's, whose mean they give as 76.7."""
    published = [80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77]
    errors = {name: [ce / 100 * error] * 5 for ce, (name, error) in zip(published, ALEXNET.items(), strict=True)}
    assert mean_corruption_error(errors)[0] == pytest.approx(76.7, abs=0.3)


def test_a_missing_severity_is_refused():
    with pytest.raises(UserError, match="fog lacks some"):
        mean_corruption_error({name: [1.0] * (4 if name == "fog" else 5) for name in ALEXNET})


def test_the_lists_that_come_with_timm_are_of_50_000_images():
    labels = real_labels(None)
    assert len(labels) == 50_000
    assert sum(not each for each in labels) == 3163, "46,837 images have labels (Beyer et al., section 3)"


@pytest.mark.parametrize("content", ["no json", "[1, 2]", "{}", '[["a"]]', "[[1.5]]"])
def test_what_is_no_list_of_labels(tmp_path, content):
    (tmp_path / "real.json").write_text(content)
    with pytest.raises(UserError, match="is no list of lists of class numbers"):
        real_labels(tmp_path / "real.json")
    with pytest.raises(UserError, match=r"nowhere.json: can't be read"):
        real_labels(tmp_path / "nowhere.json")


def test_labels_are_found_by_the_number_in_a_name(tmp_path):
    assert real_of(["val/n1/ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000001_n01440764.JPEG"], [[1], [2, 3]]) == [[2, 3], [1]]
    with pytest.raises(UserError, match="has no ReaL labels, which are of 2 images"):
        real_of(["ILSVRC2012_val_00000003.JPEG"], [[1], [2]])


def test_hits_are_counted_over_images_with_labels():
    ranked = torch.tensor([[1, 2], [1, 2], [3, 4], [5, 6]])
    assert on_list(ranked, [[1], [2, 9], [], [7]]) == (3, 1, 2)
    assert on_list(ranked[:0], []) == (0, 0, 0)
    assert json.dumps(on_list(ranked[2:3], [[]])) == "[0, 0, 0]"


def test_without_a_reference_it_is_the_mean_of_the_errors():
    errors = {"fog": [10.0, 20, 30, 40, 50], "contrast": [0.0] * 5}
    assert mean_corruption_error(errors, None) == (15.0, {"fog": 30.0, "contrast": 0.0})
    with pytest.raises(UserError, match="needs 2 corruptions at 5 severities; contrast lacks some"):
        mean_corruption_error({**errors, "contrast": [0.0] * 4}, None)
    with pytest.raises(UserError, match="needs 0 corruptions at 5 severities; there is none"):
        mean_corruption_error({}, None)


def test_a_classifier_that_is_always_right_has_no_error_and_one_that_never_is_all():
    assert mean_corruption_error({name: [0.0] * 5 for name in ALEXNET})[0] == 0
    worst, relative = mean_corruption_error({name: [100.0] * 5 for name in ALEXNET})
    assert worst > 100
    assert relative["brightness"] == pytest.approx(100 * 100 / 56.4592)
