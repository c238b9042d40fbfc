"""What many tests need: the project's own parameters."""

from pathlib import Path

import pytest

from dbot.params.document import Params
from dbot.params.load import load

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def paper() -> Params:
    """The parameters of the paper's scale."""
    return load(PROJECT / "params.yaml", "paper").params


@pytest.fixture(scope="session")
def demo() -> Params:
    """The parameters of the demo scale."""
    return load(PROJECT / "params.yaml", "demo").params
