"""The plans that clusters are compared with."""

import pytest

from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT


@pytest.fixture(scope="session")
def plan() -> Plan:
    return Plan(load(PROJECT / "params.yaml", "paper"))


@pytest.fixture(scope="session")
def small() -> Plan:
    return Plan(load(PROJECT / "params.yaml", "single-gpu"))
