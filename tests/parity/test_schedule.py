"""Learning rates of the published code by epoch."""

import csv

import pytest

from dbot.train.schedule import rate_at
from tests.parity.conftest import FOLDER


def rows(schedule: str) -> list[tuple[float, float]]:
    with (FOLDER / "lr_schedule.csv").open() as stream:
        return [(float(r["epoch"]), float(r["lr"])) for r in csv.DictReader(stream) if r["schedule"].startswith(schedule)]


def test_pretraining(paper):
    """Every stage of 800 epochs has its own warm-up and cosine."""
    recipe = paper.recipes.pretrain["asymmetric-B"]
    found = rows("pretrain_stages_0_800_1600")
    assert found
    for epoch, rate in found:
        assert rate_at(epoch % recipe.epochs, recipe) == pytest.approx(rate, rel=1e-9, abs=1e-12), epoch


def test_finetuning(paper):
    recipe = paper.recipes.finetune["asymmetric-B"]
    found = rows("finetune_100")
    assert found
    for epoch, rate in found:
        assert rate_at(epoch, recipe) == pytest.approx(rate, rel=1e-9, abs=1e-12), epoch
