"""Freed memory that stays, in processes of their own: what they keep would last for the other tests."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from dbot.train.memory import keep_freed_memory
{keep}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(25_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""
TRAINING = """
import torch
from pathlib import Path
from dbot.params.load import load
from dbot.train.memory import keep_freed_memory
from tests.train.small import recipe_like, task_of
{keep}
torch.set_num_threads(1)
recipe = recipe_like(load(Path("params.yaml"), "demo").params.recipes.pretrain["asymmetric-B"])
from benchmarks.training import OneStep
task = task_of(recipe)
step = OneStep(task, [torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))], 8, torch.device("cpu"), rate=1e-3)
for number in range(3):
    step(number)
for tensor in task.model.state_dict().values():
    print(tensor.double().sum().item().hex())
"""


def said(program: str, keep: str) -> str:
    done = subprocess.run([sys.executable, "-c", program.format(keep=keep)], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_is_not_asked_for_twice() -> None:
    kept, handed_back = (int(said(FAULTS, keep)) for keep in ("keep_freed_memory()", ""))
    assert handed_back > 1000  # 100 MB, in pages of 4 kB
    assert kept < handed_back / 10


def test_a_training_gives_the_same_bits() -> None:
    assert said(TRAINING, "keep_freed_memory()") == said(TRAINING, "")
