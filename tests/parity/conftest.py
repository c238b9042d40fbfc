"""Figures of the published code, from the folder DBOT_PARITY or the copy beside this file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from dbot.params.recipes import AsymmetricPretrain, Decoder
from dbot.params.teachers import Architecture

FOLDER = Path(os.environ.get("DBOT_PARITY", Path(__file__).parent / "data"))


@dataclass(frozen=True)
class Figures:
    """One file: its tensors, and the config in its header."""

    tensors: dict[str, torch.Tensor]
    config: dict

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.tensors[name]

    def below(self, prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}

    @property
    def architecture(self) -> Architecture:
        c = self.config
        return Architecture(
            title="parity",
            image_size=c["img_size"],
            patch_size=c["patch_size"],
            width=c["embed_dim"],
            depth=c["depth"],
            heads=c["num_heads"],
            mlp_ratio=c["mlp_ratio"],
        )

    @property
    def decoder(self) -> Decoder:
        return Decoder(width=self.config["decoder_embed_dim"], depth=self.config["decoder_depth"], heads=self.config["decoder_num_heads"])


def figures(name: str) -> Figures:
    files = sorted(FOLDER.glob(f"{name}.safetensors")) or sorted(FOLDER.glob(f"{name}.*.safetensors"))
    if not files:
        pytest.skip(f"{FOLDER} holds no {name}")
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        tensors |= load_file(file)
    with safe_open(files[0], framework="pt") as header:
        metadata = header.metadata()
    return Figures(tensors, json.loads(metadata["config"]) if "config" in metadata else metadata)


@pytest.fixture(scope="module")
def pretrain() -> Figures:
    return figures("asymmetric_pretrain")


@pytest.fixture(scope="module")
def finetune() -> Figures:
    return figures("asymmetric_finetune")


@pytest.fixture
def recipe(paper) -> AsymmetricPretrain:
    """The published recipe of ViT-B without drop path, as the figures were made."""
    return paper.recipes.pretrain["asymmetric-B"].model_copy(update={"drop_path": 0.0})
