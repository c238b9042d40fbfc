"""A project of a test's own, for verbs that are called as from the command line."""

import re
from pathlib import Path

import pytest

from dbot.params.source import read_yaml
from tests.params_text import params_text

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with few digits to draw."""
    text = params_text()
    (tmp_path / "params.yaml").write_text(
        re.sub(r"train: [1-9]\d*, validation: \d+, clutter: 0.25", "train: 20, validation: 10, clutter: 0.25", text)
    )
    assert read_yaml(tmp_path / "params.yaml").data["datasets"]["digits"]["embedded"]["train"] == 20
    monkeypatch.chdir(tmp_path)
    return tmp_path
