"""A verb of `dbot` whose training fails in one process of several."""

import atexit
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from dbot import cli
from dbot.base.errors import UserError
from dbot.params.load import load
from dbot.train.distributed import Processes, processes
from tests.conftest import PROJECT
from tests.train.small import Noise, execution_like, recipe_like, run, task_of

VERB = "failing"


class Fails(Noise):
    """Images of which the fifth is not to be had."""

    def __init__(self, case: str) -> None:
        super().__init__(40)
        self.case, self.loaded = case, 0

    def __getitem__(self, where: tuple[int, int]) -> tuple[torch.Tensor, int]:
        self.loaded += 1
        image, label = super().__getitem__(where)
        if self.loaded == 5:
            if self.case in ("picture", "picture in a loader"):
                raise UserError("seven.png: is no image; restore it")
            if self.case == "bug":
                raise ValueError("a bug")
            if self.case == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.case == "not finite":
                image *= float("nan")
        return image, label


def train(case: str, folder: Path, group: Processes, fails: bool) -> None:
    demo = load(PROJECT / "params.yaml", "demo").params
    recipe = recipe_like(demo.recipes.pretrain["asymmetric-B"])
    execution = execution_like(demo.execution, progress_every_seconds=0.0, workers=int(case == "picture in a loader"))
    task = task_of(recipe, Fails(case) if fails else Noise(40))
    run(task, folder / f"state-{group.rank}", execution, group)


def verb(case: str, rank: int, folder: Path) -> None:
    with processes("cpu", 1) as group:
        if case == "outputs" and group.rank == rank:
            raise UserError("checkpoint: can't be written; make room")
        if case == "disk":
            (folder / f"state-{rank}").touch()  # a file where the folder of the leading process is to be
        train(case, folder, group, group.rank == rank)


def main(case: str, rank: int, world: int, port: str, folder: Path) -> None:
    """Fork the processes, write their statuses by rank, and in each of them be `dbot`."""
    module: Any = SimpleNamespace(__doc__="Fails.", arguments=lambda parser: None, run=lambda args: verb(case, rank, folder))
    sys.modules[f"dbot.commands.{VERB}"] = module
    cli.OTHERS[VERB] = "fails"
    started = []
    for number in range(world):
        if (child := os.fork()) == 0:
            os.environ.update(RANK=f"{number}", LOCAL_RANK=f"{number}", WORLD_SIZE=f"{world}", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
            _be_dbot()
        started.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in started]
    Path(folder, "statuses").write_text(" ".join(map(str, statuses)))


def _be_dbot() -> None:
    """End this process as the command would end."""
    try:
        status = cli.main([VERB])
    except Exception:  # noqa: BLE001 (the interpreter would do the same)
        sys.excepthook(*sys.exc_info())
        status = 1
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(status)
