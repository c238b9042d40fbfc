"""Each test has a project of its own, whose receipts are fabricated."""

from pathlib import Path

import pytest

from tests.fabricated import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A fresh project at demo scale, which is also the current folder."""
    return Project.begin(tmp_path, monkeypatch)
