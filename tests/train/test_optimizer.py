"""AdamW in one kernel against AdamW step by step."""

import copy

import torch
from torch.testing import assert_close

from dbot.train.optimizer import build_optimizer
from dbot.train.schedule import set_rate


def test_fused_agrees_with_plain_up_to_rounding(demo):
    figures = demo.recipes.pretrain["asymmetric-B"].optimizer
    torch.manual_seed(0)
    models = [torch.nn.Linear(40, 30)]
    models.append(copy.deepcopy(models[0]))
    optimizers = [build_optimizer(model, figures, fused=fused) for model, fused in zip(models, (True, False), strict=True)]
    for _ in range(20):
        images = torch.randn(8, 40)
        for model, optimizer in zip(models, optimizers, strict=True):
            set_rate(optimizer, 1e-2)
            model(images).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    for fused, plain in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert_close(fused, plain, atol=1e-6, rtol=1e-4)
