"""What many tests need: the project's own parameters."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from dbot.params.document import Params
from dbot.params.load import load

PROJECT = Path(__file__).parents[1]

# No test compares a time with a bound; an example that loads a library, or runs on a busy machine, is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def paper() -> Params:
    """The parameters of the paper's scale."""
    return load(PROJECT / "params.yaml", "paper").params


@pytest.fixture(scope="session")
def demo() -> Params:
    """The parameters of the demo scale."""
    return load(PROJECT / "params.yaml", "demo").params


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several threads cost more in waiting than small maps are worth."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
