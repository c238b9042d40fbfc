"""Files laid out as the released ones are."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dbot.params.teachers import Architecture
from dbot.train.schedule import peak_rate
from tests.parity.conftest import FOLDER, Figures, figures
from tests.parity.test_asymmetric_pretrain import weights_before_step

DATA = Path(__file__).parent / "data"

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="session")
def network() -> Architecture:
    """What the official files hold; their shapes don't show the heads."""
    return figures("asymmetric_finetune").architecture


@pytest.fixture(scope="session")
def pretrain() -> Figures:
    return figures("asymmetric_pretrain")


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory, paper, pretrain) -> dict[str, Path]:
    """By name, the official layouts: those of DBOT_PARITY, or those of the tests."""
    found = {}
    for name in ("asymmetric_pre", "asymmetric_finetune", "symmetric_pre"):
        file = f"official_layout_{name}.pth"
        found[name] = FOLDER / file if (FOLDER / file).exists() else DATA / file
    if not found["asymmetric_pre"].exists():
        found["asymmetric_pre"] = tmp_path_factory.mktemp("official") / found["asymmetric_pre"].name
        recipe = paper.recipes.pretrain["asymmetric-B"]
        weights = weights_before_step(pretrain, recipe.optimizer, peak_rate(recipe.optimizer, recipe.batch_size))
        torch.save(
            {
                "model": weights,
                "optimizer": {"state": {0: {"exp_avg": torch.zeros(3), "step": 7}}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
                "epoch": 1599,
                "scaler": {"scale": 65536.0, "growth_interval": 2000},
                "args": argparse.Namespace(model="mae_vit_base_patch16", stage_epochs=[0, 800, 1600], norm_feature_loss=True),
            },
            found["asymmetric_pre"],
        )
    return found


@pytest.fixture
def edited(official, tmp_path) -> Callable[[str, Edit], Path]:
    """A copy of an official file with its weights changed."""

    def edit(name: str, change: Edit) -> Path:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(official[name], weights_only=True)
        change(content["model"])
        path = tmp_path / f"{name}.pth"
        torch.save(content, path)
        return path

    return edit
