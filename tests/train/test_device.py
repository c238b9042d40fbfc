"""Which device a process takes, and what it says where there is no GPU and should be. CUDA is pretended."""

from contextlib import nullcontext

import pytest
import torch

from dbot.base.errors import UserError
from dbot.train import device, distributed
from dbot.train.device import device_of
from dbot.train.distributed import processes

WITHOUT = ("DBOT_GPUS", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES")


@pytest.fixture
def node(monkeypatch):
    """Pretends a number of GPUs, the CUDA that torch was built for, and a driver."""
    for name in WITHOUT:
        monkeypatch.delenv(name, raising=False)

    def pretend(gpus: int, built: str | None = "13.0", driver: str | None = "580.65.06") -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(device, "driver", lambda: driver)

    return pretend


def test_a_process_takes_the_gpu_of_its_number(node):
    node(2)
    assert [device_of("auto", local) for local in range(2)] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert device_of("cpu", 0) == torch.device("cpu")
    with pytest.raises(UserError, match="process 3 has no GPU of its own, for torch sees 2"):
        device_of("auto", 2)


def test_without_gpus_auto_is_the_cpu_where_none_were_given(node, monkeypatch):
    node(0)
    assert device_of("auto", 0) == torch.device("cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert device_of("auto", 0) == torch.device("cpu")
    monkeypatch.setenv("DBOT_GPUS", "0")
    assert device_of("auto", 0) == torch.device("cpu")


@pytest.mark.parametrize(
    ("built", "driver", "why"),
    [
        (None, "580.65.06", "this torch is built for the CPU alone; install the torch that pyproject.toml pins"),
        ("13.0", None, r"this torch is built for CUDA 13\.0, and no driver was found; run where there is a GPU"),
        ("13.0", "535.104.05", r"CUDA 13\.0, which needs driver 580 or newer, and the driver is 535\.104\.05; ask the administrators"),
        ("12.8", "535.104.05", r"CUDA 12\.8, and the driver is 535\.104\.05; see with nvidia-smi"),
    ],
)
def test_given_gpus_that_torch_does_not_see_end_the_job_in_one_line(node, monkeypatch, built, driver, why):
    node(0, built, driver)
    monkeypatch.setenv("SLURM_JOB_GPUS", "0,1")
    with pytest.raises(
        UserError, match=rf"given GPUs \(SLURM_JOB_GPUS=0,1\), but torch sees no GPU: .*{why}.*set execution.device to cpu$"
    ) as said:
        device_of("auto", 0)
    assert len(said.value.problems) == 1
    assert device_of("cpu", 0) == torch.device("cpu"), "who asks for the CPU has it"


def test_cuda_that_is_asked_for_by_name_says_why_too(node):
    node(0, driver=None)
    with pytest.raises(UserError, match=r"execution\.device is cuda, but torch sees no GPU: .*no driver was found"):
        device_of("cuda", 0)


def test_nothing_is_done_before_that(node, monkeypatch):
    node(0)
    monkeypatch.setenv("DBOT_GPUS", "1")
    with pytest.raises(UserError, match="workflow/launch"), processes("auto", 1):
        pytest.fail("the job has begun")


def test_gpus_are_told_which_they_are_and_how_long_to_wait(node, monkeypatch):
    """What can be seen of NCCL without one."""
    node(2)
    told = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(distributed, "one_fate", lambda rank, world: nullcontext(torch.distributed.HashStore()))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda **given: told.update(given))
    monkeypatch.setattr(distributed, "_messages", lambda: None)
    with processes("auto", 1) as group:
        assert group.device == told["device_id"] == torch.device("cuda", 1)
    assert told["backend"] == "nccl"
    assert told["timeout"] > torch.distributed.constants.default_pg_nccl_timeout
