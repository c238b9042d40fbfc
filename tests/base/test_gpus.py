"""What an environment says of GPUs, and what a node says of its driver."""

import subprocess

import pytest

from dbot.base import gpus
from dbot.base.gpus import driver, given


@pytest.mark.parametrize(
    "environment",
    [
        {"DBOT_GPUS": "8"},
        {"SLURM_JOB_GPUS": "0"},
        {"SLURM_STEP_GPUS": "2,3"},
        {"SLURM_GPUS_ON_NODE": "4"},
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"},
        {"DBOT_GPUS": "1", "CUDA_VISIBLE_DEVICES": ""},
    ],
    ids=str,
)
def test_a_job_that_was_given_gpus_knows_what_said_so(environment):
    said = given(environment)
    assert said is not None
    assert ("workflow/launch" if "DBOT_GPUS" in environment else next(iter(environment))) in said


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"DBOT_GPUS": "0", "SLURM_JOB_GPUS": "0"},
        {"SLURM_JOB_GPUS": ""},
        {"SLURM_GPUS_ON_NODE": "0"},
        {"CUDA_VISIBLE_DEVICES": ""},
        {"CUDA_VISIBLE_DEVICES": "-1", "SLURM_JOB_GPUS": "0"},
        {"CUDA_VISIBLE_DEVICES": "NoDevFiles"},
    ],
    ids=str,
)
def test_a_job_without_gpus_was_given_none(environment):
    assert given(environment) is None


def test_the_driver_is_what_nvidia_smi_says_or_else_the_kernel(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 535.104.05\necho 535.104.05\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert driver() == "535.104.05"

    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed because it could not communicate with the driver\nexit 9\n")
    kernel = tmp_path / "version"
    kernel.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC version: 12.3.0\n")
    monkeypatch.setattr(gpus, "VERSION_FILE", kernel)
    assert driver() == "580.65.06"

    kernel.unlink()
    assert driver() is None


def test_a_driver_that_does_not_answer_is_none(tmp_path, monkeypatch):
    def asked(*args, **kwargs):
        raise subprocess.TimeoutExpired("nvidia-smi", 60)

    monkeypatch.setattr(subprocess, "run", asked)
    monkeypatch.setattr(gpus, "VERSION_FILE", tmp_path / "none")
    assert driver() is None
