"""Two gloo processes against one."""

import itertools
from dataclasses import replace

import pytest
import torch

from dbot.distill.boundary import Promoted, begin_stage
from dbot.params.load import load
from tests.conftest import PROJECT
from tests.processes import together
from tests.train.small import ARCHITECTURE, AS_THEY_ARE, Noise, execution_like, recipe_like, run, task_of


def recipe(**changes):
    demo = load(PROJECT / "params.yaml", "demo").params
    return recipe_like(demo.recipes.pretrain["asymmetric-B"], **changes), execution_like(demo.execution)


def two_stages(group, folder):
    """A stage, the boundary, and the beginning of the next."""
    figures, execution = recipe()
    first = task_of(figures)
    outcome = run(first, folder / "first", execution, group)
    promoted = Promoted(first.model.state_dict(), ARCHITECTURE, "asymmetric", same_row=True)
    student, teacher = begin_stage(ARCHITECTURE, figures, 2, promoted, AS_THEY_ARE)
    group.check_same(student)
    group.check_same(teacher)
    return {
        "steps": outcome.steps,
        "losses": [metrics["loss"] for metrics in outcome.history],
        "trained": first.model.state_dict(),
        "student": student.state_dict(),
        "teacher": teacher.state_dict(),
    }


@pytest.mark.parametrize("world", [2, 4])
def test_several_processes_train_as_one(tmp_path, world):
    one = together(two_stages, tmp_path / "one", world=1)[0]
    first, *others = together(two_stages, tmp_path / "several", world)
    for part, other in itertools.product(("trained", "student", "teacher"), others):
        assert all(torch.equal(tensor, other[part][name]) for name, tensor in first[part].items()), f"replicas differ in {part}"
    assert {process["steps"] for process in (first, *others)} == {one["steps"]}
    assert first["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert all(torch.equal(tensor, first["student"][name]) for name, tensor in one["student"].items()), "a new student depends on processes"


def differing(group, folder):
    model = torch.nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.fill_(1.0 + 1e-7 * group.rank)
    try:
        group.check_same(model)
    except RuntimeError as error:
        return {"said": str(error)}
    return {"said": ""}


def test_differing_replicas_are_found(tmp_path):
    assert all("other weights than process 0" in found["said"] for found in together(differing, tmp_path))


def resumed(group, folder):
    """Train to the end in two goes, as after a time limit."""
    figures, execution = recipe(drop_path=0.3)
    short = execution.model_copy(update={"state_every_seconds": 0.0, "states_kept": 99})
    whole = task_of(figures)
    run(whole, folder / "states", short, group)
    group.barrier()
    if group.leads:
        for state in sorted((folder / "states").iterdir())[3:]:
            state.unlink()
    group.barrier()
    again = task_of(figures)
    run(again, folder / "states", short, group)
    return {"same": all(torch.equal(t, again.model.state_dict()[n]) for n, t in whole.model.state_dict().items())}


def test_two_processes_go_on_bit_for_bit(tmp_path):
    assert all(found["same"] for found in together(resumed, tmp_path))


def measured(group, folder):
    """A training that keeps its best weights, ended twice: the second time from its last state."""
    figures, execution = recipe()
    found = {}
    for go in ("trained", "restored"):
        task = replace(task_of(figures), evaluate=lambda model: {"score": 1.0}, best="score")
        best = run(task, folder / "states", execution, group).best
        group.barrier()
        found[go] = best is not None and {tensor.device.type for tensor in best.values()} == {"cpu"}
    return found


def test_the_best_weights_are_held_once(tmp_path):
    leading, other = together(measured, tmp_path)
    assert leading == {"trained": True, "restored": True}
    assert other == {"trained": False, "restored": False}


def normed(group, folder):
    """A network with a batch norm takes three steps, its buffers sent before each and not, then shared."""
    found = {}
    for sent in (True, False):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
        wrapped = group.wrap(model)
        wrapped.forward_sync_buffers = sent
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            images = torch.randn(8, 4, generator=torch.Generator().manual_seed(10 * step + group.rank))
            wrapped(images).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        found[f"{sent}"] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    group.share_buffers(model)
    return {**found, "shared": model.state_dict()}


def test_buffers_that_are_not_sent_before_every_step_change_no_weight_and_no_state(tmp_path):
    first, second = together(normed, tmp_path)
    for name, tensor in first["True"].items():
        assert torch.equal(tensor, first["False"][name]), f"the state that is saved has another {name}"
        assert torch.equal(tensor, second["shared"][name]), f"processes measure with different {name}"
    assert not torch.equal(second["False"]["1.running_mean"], first["False"]["1.running_mean"]), "nothing was to be shared"


class OneBad(Noise):
    """One image of one epoch is not a number, and one process alone reads it."""

    def __getitem__(self, where):
        image, label = super().__getitem__(where)
        return (image * float("nan") if where == (1, 7) else image), label


def gone_back(group, folder):
    """The same training twice: the bad step skipped, and gone back from."""
    found = {}
    for policy in ("skip", "rewind"):
        figures, execution = recipe(non_finite=policy)
        often = execution.model_copy(update={"state_every_seconds": 0.0})
        task = task_of(figures, OneBad(20))
        outcome = run(task, folder / policy, often, group)
        found[policy] = task.model.state_dict()
        found[f"{policy} steps"] = [metrics.get("skipped_steps", 0) for metrics in outcome.history]
    return found


@pytest.mark.slow
def test_all_processes_go_back_together(tmp_path):
    for found in together(gone_back, tmp_path):
        assert found["skip steps"] == found["rewind steps"] == [0, 1, 0]
        assert all(torch.equal(tensor, found["rewind"][name]) for name, tensor in found["skip"].items())
