"""One's own images, with as little as has to be said of them."""

import re
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.params.datasets import Dataset
from dbot.params.load import load
from dbot.params.site import load_site
from tests.params_text import params_text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """params.yaml with a set of three lines and a scale of one's own."""
    text = _first(params_text(), "datasets", "  mine:\n    root: ~/photos\n    layouts: images\n")
    own = (
        "  own:\n"
        "    title: ours\n"
        "    extends: demo\n"
        "    overrides:\n"
        "      uses: {pretrain: mine}\n"
        "      recipes: {pretrain: {asymmetric: {epochs: 3}}}\n"
    )
    (tmp_path / "params.yaml").write_text(_first(text, "scales", own))
    return tmp_path / "params.yaml"


def _first(text: str, section: str, more: str) -> str:
    """The parameters with something at the head of a section."""
    changed, count = re.subn(rf"(?m)^({section}:.*\n)", lambda found: found[1] + more, text, count=1)
    assert count == 1
    return changed


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def refusal(file: Path, scale: str = "own") -> str:
    with pytest.raises(UserError) as error:
        load(file, scale)
    assert len(error.value.problems) == 1
    return str(error.value)


class TestDeclaration:
    def test_three_lines_are_a_declaration(self, project: Path) -> None:
        mine = load(project, "own").params.datasets["mine"]
        assert (mine.title, mine.layouts, mine.licence, mine.classes) == ("mine", ["images"], "not stated", None)
        assert mine.check.unreadable == "refuse"

    def test_a_root_is_enough(self, project: Path) -> None:
        change(project, "    layouts: images\n", "")
        assert load(project, "own").params.datasets["mine"].layouts == []

    @pytest.mark.parametrize(
        ("old", "new", "key"),
        [
            ("uses: {pretrain: mine}", "uses: {pretrain: mine, cls: mine}", "uses.cls"),
            ("uses: {pretrain: mine}", "transfer: {sets: [mine]}", "transfer.sets.0"),
        ],
    )
    def test_jobs_that_need_labels_say_so_before_anything_is_trained(self, project: Path, old: str, new: str, key: str) -> None:
        change(project, old, new)
        assert f"{key} is 'mine', whose images have none: must be a set with labels" in refusal(project)

    def test_what_is_said_of_other_sets_is_read_as_it_was(self, project: Path) -> None:
        digits = load(project, "demo").params.datasets["digits"]
        assert digits.title == "digits on photographs"
        assert (
            set(Dataset.model_fields) - {"label_maps", "annotated", "limit", "short_side", "copies", "jpeg", "masks", "hub"}
            == digits.model_fields_set
        )


class TestScales:
    def test_a_scale_extends_another(self, project: Path) -> None:
        own, demo = (load(project, scale).params for scale in ("own", "demo"))
        assert (own.uses.pretrain, own.uses.cls) == ("mine", "digits")
        assert own.architectures == demo.architectures
        assert own.recipes.pretrain["asymmetric"].model_dump() == {**demo.recipes.pretrain["asymmetric"].model_dump(), "epochs": 3}

    def test_every_value_still_knows_its_line(self, project: Path) -> None:
        resolved = load(project, "own")
        lines = project.read_text().splitlines()
        for path in (("recipes", "pretrain", "asymmetric", "epochs"), ("recipes", "pretrain", "asymmetric", "warmup_epochs")):
            origin = resolved.origin(*path)
            assert origin is not None
            assert str(path[-1]) in lines[origin.line - 1]

    def test_a_parent_that_is_missing_or_the_scale_itself_is_named(self, project: Path) -> None:
        change(project, "extends: demo", "extends: demi")
        assert "scales.own.extends is 'demi', which does not exist: scales are: " in refusal(project)
        change(project, "extends: demi", "extends: own")
        assert "scales.own.extends is 'own', which would extend itself" in refusal(project)


class TestPaths:
    def test_home_and_variables_are_filled_in(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/me")
        monkeypatch.setenv("STORE", "/store")
        change(project, "weights_folder: null", "weights_folder: $STORE/weights")
        params = load(project, "own").params
        assert params.datasets["mine"].root == "/home/me/photos"
        assert params.released.weights_folder == "/store/weights"

    def test_teachers_files_too(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/me")
        ours = "  ours: {kind: file, path: ~/a.pth, layout: null, image_size: 32, data: none, licence: none}\n"
        project.write_text(_first(project.read_text(), "teachers", ours))
        assert load(project, "own").params.teachers["ours"].path == "/home/me/a.pth"  # type: ignore[union-attr]

    def test_and_those_of_a_site(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/me")
        (tmp_path / "site.yaml").write_text("container: ~/dbot.sif\n")
        assert load_site(tmp_path / "site.yaml").container == "/home/me/dbot.sif"
