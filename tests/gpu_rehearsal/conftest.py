"""Plans, and a folder for the few images that their rehearsals draw."""

from pathlib import Path

import pytest

from dbot.params.load import load
from dbot.plan import Plan
from tests.gpu_rehearsal.trainings import Rehearsals

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def paper_rehearsals(tmp_path_factory: pytest.TempPathFactory) -> Rehearsals:
    """Those of the paper's scale."""
    return Rehearsals(Plan(load(PROJECT / "params.yaml", "paper")), tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="session")
def demo_rehearsals(tmp_path_factory: pytest.TempPathFactory) -> Rehearsals:
    """Those of the demo's scale."""
    return Rehearsals(Plan(load(PROJECT / "params.yaml", "demo")), tmp_path_factory.mktemp("demo"))
