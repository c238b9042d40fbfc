"""What many tests need: the project's own parameters."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several threads cost more in waiting than small maps are worth."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
