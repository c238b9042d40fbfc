"""Processes of tests, forked from one that has loaded the heavy libraries and done nothing with them: a start takes a moment."""

import atexit
import importlib
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing import start_processes

from dbot.train.distributed import Processes, processes

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["dbot.commands.training", "dbot.tasks.pretrain", "timm", "torchvision.transforms.v2", "dvc.repo", "mlflow", "snakemake.cli"]
)
PROGRAMS = {"snakemake": "snakemake.cli", "dbot": "dbot.cli"}
"""By the name of a program of this environment, the module whose `main` it runs."""


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def together(work: Callable[[Processes, Path], dict[str, Any]], folder: Path, world: int = 2) -> list[dict[str, Any]]:
    """Run ``work(group, folder)`` in as many processes, which exchange through gloo; what each returned, by rank."""
    folder.mkdir(parents=True, exist_ok=True)
    start_processes(_process, (world, free_port(), work, folder), nprocs=world, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


def _process(rank: int, world: int, port: str, work: Callable[[Processes, Path], dict[str, Any]], folder: Path) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    with processes("cpu", 1) as group:
        torch.manual_seed(1000 + rank)  # whatever the processes did before, they must agree
        torch.save(work(group, folder), folder / f"{rank}.pt")


def run_program(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float, merged: bool = False
) -> "subprocess.CompletedProcess[str]":
    """What `subprocess.run` does with one of `PROGRAMS`, without waiting for it to load what it needs.

    Args:
        command: name and arguments of the program.
        folder: where it runs.
        environment: all of its variables.
        seconds: how long it may take.
        merged: have its errors in its output.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    with tempfile.TemporaryDirectory() as said:
        out, err = Path(said, "out"), Path(said, "out" if merged else "err")
        started = PROCESSES.Process(target=_program, args=(tuple(command), folder, dict(environment), out, err))
        started.start()
        started.join(seconds)
        if started.exitcode is None:
            started.kill()
            raise subprocess.TimeoutExpired(command, seconds)
        return subprocess.CompletedProcess(command, started.exitcode, out.read_text(), "" if merged else err.read_text())


def _program(command: tuple[str, ...], folder: Path, environment: dict[str, str], *said: Path) -> None:
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(Path(sys.executable).parent / command[0]), *command[1:]]
    try:
        raise SystemExit(importlib.import_module(PROGRAMS[command[0]]).main())
    finally:
        atexit._run_exitfuncs()  # as the interpreter does, but not a forked process
