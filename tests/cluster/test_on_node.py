"""What is found on a compute node, and said of it."""

import pytest

from dbot.cluster.finding import Finding
from dbot.cluster.on_node import Look, check_node, options
from tests.cluster.clusters import only, site

SAID = """Loading cuda/12.8
dbot-node host n1
dbot-node clock 1000
dbot-node folder writable
dbot-node setup ok
dbot-node gpu 570.86.15, NVIDIA H100 80GB HBM3
dbot-node python Python 3.11.7
dbot-node scratch 750000000000 /local/me
dbot-node torch 2.14.1+cu130 13.0
dbot-node cuda ok NVIDIA H100 80GB HBM3
"""


def node(said: str = SAID, errors: str = "", waiting: str | None = None) -> list[Finding]:
    return check_node(Look(said, errors, 990, 1010, waiting), site(scratch="/local/me"), 1)


def test_a_node_where_all_is_well_is_described() -> None:
    found = node()
    assert {each.level for each in found} == {"ok"}
    said = "\n".join(map(str, found))
    assert "node n1: PyTorch 2.14.1+cu130 for CUDA 13.0 computes on NVIDIA H100 80GB HBM3, driver 570.86.15" in said
    assert "the scratch folder /local/me can be written, with 750 GB free" in said


@pytest.mark.parametrize(
    ("instead", "level", "what"),
    [
        (("folder writable", "folder missing"), "wrong", "is not there"),
        (("folder writable", "folder read-only"), "wrong", "can't be written"),
        (("clock 1000", "clock 1100"), "warn", "its clock is 90 s away"),
        (
            ("cuda ok NVIDIA H100 80GB HBM3", "cuda none"),
            "wrong",
            "it was built for CUDA 13.0, and the driver of NVIDIA H100 80GB HBM3 is 570.86",
        ),
        (("cu130 13.0\ndbot-node cuda ok NVIDIA H100 80GB HBM3", "cpu none\ndbot-node cuda none"), "wrong", "built without CUDA"),
        (("scratch 750000000000", "scratch 1000000000"), "warn", "1.0 GB free"),
        (("scratch 750000000000 /local/me", "scratch refused /local/me (Permission denied)"), "warn", "nothing can be written"),
        (("scratch 750000000000 /local/me", "scratch unset $TMPDIR"), "wrong", "that variable is not set there"),
        (("python Python 3.11.7", "python bash: /home/me/.venv/bin/python: No such file"), "wrong", "does not start there"),
        (("setup ok", "setup module load cuda"), "wrong", "a line of setup in site.yaml failed (module load cuda)"),
    ],
)
def test_what_a_node_lacks_is_said(instead: tuple[str, str], level: str, what: str) -> None:
    found = [each for each in node(SAID.replace(*instead)) if each.level != "ok"]
    assert [each.level for each in found] == [level]
    assert what in found[0].what


def test_a_queue_that_never_starts_is_said_with_slurms_reason() -> None:
    said = only(node("", "srun: job 7 queued", "PENDING|Priority|2026-11-30T05:32:22"))
    assert said.startswith(
        "warn  node: none within 120 s: Slurm gives as its reason: Priority, and expects to find one at 2026-11-30T05:32:22"
    )
    assert "expects" not in only(node("", "", "PENDING|Resources|N/A"))


def test_a_job_that_is_refused_is_said_with_the_command_and_slurms_words() -> None:
    said = only(node("", "srun: error: Unable to allocate resources: Invalid account\n"))
    assert said.startswith("wrong node: srun --nodes=1 --ntasks=1 ")
    assert "and said: error: Unable to allocate resources: Invalid account: " in said


def test_a_node_is_asked_for_as_jobs_are() -> None:
    ours = site(
        account="lab", partition={"gpu": "work"}, gpu_model="h100", exclusive={"gpu": True}, extra="--mail-type=FAIL --comment='a b'"
    )
    found = options(ours, 1)
    assert {"--account=lab", "--partition=work", "--gpus=h100:1", "--mem=8000", "--exclusive", "--comment=a b"} <= set(found)
    assert {"--gres=gpu:h100:1"} <= set(options(site(gpu_request="gres", gpu_model="h100"), 1))
    found = options(site(memory=False, partition={"gpu": "work"}), 0)
    assert not any(option.startswith(("--mem", "--gpus", "--partition")) for option in found)
