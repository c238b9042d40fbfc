"""The published repository's model and training step, imported from a checkout that the user names.

Nothing of it is kept here. Needed of github.com/liuxingbin/dbot, branch `main`: models_mae.py,
engine_pretrain.py and util/ (misc.py, lr_sched.py, pos_embed.py). They were written for torch 1.9,
timm 0.4.12 and NumPy 1; what has gone since is filled in while they are imported, and attention is
computed as timm 0.4.12 did (no fused kernel) unless the current one is asked for.
"""

import contextlib
import importlib
import io
import math
import sys
import tempfile
import types
import warnings
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch

FILES = ("models_mae.py", "engine_pretrain.py", "util/misc.py", "util/lr_sched.py", "util/pos_embed.py")


def require(checkout: Path) -> None:
    """Stop in one line unless the files are there."""
    missing = [name for name in FILES if not (checkout / name).is_file()]
    if missing:
        raise SystemExit(f"--reference {checkout}: has no {missing[0]}; name a checkout of github.com/liuxingbin/dbot, branch main")


class PublishedStep:
    """The published pre-training step on given crops, through the published `train_one_epoch`."""

    def __init__(self, checkout: Path, sizes: dict[str, Any], crops_BCHW: torch.Tensor, drop_path: float, clip_grad: float, fused: bool):
        from timm.layers import set_fused_attn
        from timm.optim import param_groups_weight_decay

        set_fused_attn(fused)
        models, self.engine, misc = _modules(checkout)
        device = crops_BCHW.device
        norm = {"norm_layer": partial(torch.nn.LayerNorm, eps=1e-6)}
        depth = sizes.pop("depth")
        self.student = models.MaskedAutoencoderViT(**sizes, depth=depth, drop_path_rate=drop_path, norm_feature_loss=True, **norm).to(
            device
        )
        self.teacher = models.MaskedAutoencoderViT(**{**sizes, "decoder_depth": 0}, depth=depth, **norm).to(device).requires_grad_(False)
        self.teacher.load_state_dict(self.student.state_dict(), strict=False)
        self.optimizer = torch.optim.AdamW(param_groups_weight_decay(self.student, 0.05), lr=1e-4, betas=(0.9, 0.95))
        with warnings.catch_warnings(action="ignore"):
            self.scaler = misc.NativeScalerWithGradNormCount()
        self.crops = crops_BCHW
        self.folder = tempfile.TemporaryDirectory()
        figures = {"accum_iter": 1, "mask_ratio": 0.75, "tlayernorm": 0, "clip_grad": clip_grad}
        rates = {"stage_epochs": [0, 800], "warmup_epochs": 40, "lr": 1e-4, "min_lr": 0.0}
        self.arguments = Namespace(output_dir=self.folder.name, **figures, **rates)

    def run(self, steps: int) -> None:
        """So many steps; what they print is dropped."""
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"), _without_gpu_calls():
            self.engine.train_one_epoch(
                self.student,
                self.teacher,
                [(self.crops, None)] * steps,
                self.optimizer,
                self.crops.device,
                100,
                self.scaler,
                args=self.arguments,
            )


def _modules(checkout: Path) -> tuple[Any, Any, Any]:
    """models_mae, engine_pretrain and util.misc of a checkout."""
    gone = types.ModuleType("torch._six")
    gone.inf = math.inf  # type: ignore[attr-defined]
    sys.modules.setdefault("torch._six", gone)
    numpy.float = float  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout.resolve()))
    try:
        return tuple(importlib.import_module(name) for name in ("models_mae", "engine_pretrain", "util.misc"))  # type: ignore[return-value]
    finally:
        sys.path.pop(0)


@contextlib.contextmanager
def _without_gpu_calls() -> Any:
    """The published step waits for the GPU by name; where there is none, there is nothing to wait for."""
    if torch.cuda.is_available():
        yield
        return
    before, torch.cuda.synchronize = torch.cuda.synchronize, lambda *_: None
    try:
        yield
    finally:
        torch.cuda.synchronize = before
