"""What a set is measured as fits the set; mistakes are one line, with their place."""

from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.params.load import load
from tests.params_text import params_text


def refusal(folder: Path, *changes: tuple[str, str]) -> str:
    text = params_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "params.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        load(folder / "params.yaml", "demo")
    assert len(error.value.problems) == 1, error.value.problems
    return str(error.value)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ("{score: corruptions, labels: real.json}", "labels is for score real, and score is corruptions: remove it"),
        ("{score: real, reference: alexnet}", "reference is for score corruptions, and score is real: remove it"),
        ("{score: real, outputs: own}", "outputs: own is for score accuracy, and score is real: remove it"),
        ("{score: corruption}", "must be 'accuracy', 'real' or 'corruptions'"),
    ],
)
def test_a_score_has_its_own_keys(tmp_path: Path, figures: str, said: str) -> None:
    found = refusal(tmp_path, ("digits-c: {score: corruptions}", f"digits-c: {figures}"))
    assert "shift.figures.digits-c" in found
    assert said.replace("must be ", "") in found or said in found


def test_corruptions_are_measured_on_corruptions(tmp_path: Path) -> None:
    found = refusal(tmp_path, ("digits-a: {outputs: own}", "digits-a: {score: corruptions}"))
    assert "shift.figures.digits-a.score is corruptions: needs a set of layout corruptions, and digits-a is of class-folders" in found


def test_sets_are_declared(tmp_path: Path) -> None:
    found = refusal(tmp_path, ("sets: [digits-v2, digits-real,", "sets: [digits-v3, digits-real,"))
    assert "shift.sets.0 is 'digits-v3': there is no data set of that name" in found


def test_what_is_only_measured_on_has_no_training_part(tmp_path: Path) -> None:
    found = refusal(tmp_path, ("style: sketches, image_size: 32, train: 0", "style: sketches, image_size: 32, train: 5"))
    assert "datasets.digits-sketch.embedded.train is 5: must be 0: a set of layout class-folders has no training part" in found
    found = refusal(tmp_path, ("style: digits, image_size: 32, train: 2000", "style: digits, image_size: 32, train: 0"))
    assert "datasets.digits.embedded.train is 0: must be above 0: a set of layout imagefolder is trained on" in found
