"""A step that was not finite, done again."""

import math
from dataclasses import replace

import pytest
import torch

from dbot.base.errors import UserError
from dbot.train.incident import Incident, NonFinite
from dbot.train.replay import Replayed, replay
from dbot.train.state import StateStore
from tests.train.small import Noise, execution_like, recipe_like, run, task_of

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def recipe(demo):
    return recipe_like(demo.recipes.pretrain["asymmetric-B"], drop_path=0.3)


@pytest.fixture
def execution(demo):
    return execution_like(demo.execution)


class Poisoned(Noise):
    """One image of one epoch is not a number."""

    def __getitem__(self, where):
        image, label = super().__getitem__(where)
        return (image * math.nan if where == (1, 7) else image), label


def captured(task, folder, execution, batch=8) -> Incident:
    found = []
    with pytest.raises(NonFinite):
        run(task, folder, execution, batch=batch, on_incident=lambda incident: found.append(incident) or "")
    return found[0]


def test_a_bad_image_is_found(recipe, execution, tmp_path):
    incident = captured(task_of(recipe, Poisoned(20)), tmp_path, execution)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    found = replay(task_of(recipe, Poisoned(20)), incident, CPU, execution)
    assert not found.is_finite
    assert math.isnan(found.loss)
    assert math.isnan(found.gradient_norm)
    assert found.images == [(1, 7)]
    assert found.weights == []
    assert found.first == "encoder.patch_embed.proj"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before, "a replay writes nothing"


def test_a_damaged_weight_is_found_before_any_state_was_written(recipe, execution, tmp_path):
    def damaged():
        task = task_of(recipe)
        with torch.no_grad():
            task.model.encoder.blocks[1].mlp.fc1.weight[0, 0] = math.inf
        return task

    incident = captured(damaged(), tmp_path, execution)
    assert (incident.step, incident.state) == (0, None)
    found = replay(damaged(), incident, CPU, execution)
    assert found.weights == ["encoder.blocks.1.mlp.fc1.weight"]
    assert found.first == "encoder.blocks.1.mlp.fc1"
    assert found.images == []


@pytest.mark.usefixtures("state_at_every_step")
@pytest.mark.parametrize("batch", [8, 2])
def test_a_step_has_the_bits_it_had(recipe, execution, tmp_path, batch):
    """An ordinary step, replayed from two steps before: the loss of every pass is that of the training, to the last bit."""
    seen: dict[int, list[float]] = {}

    def spied():
        task = task_of(recipe)

        def loss(model, images, step):
            value = task.loss(model, images, step)
            seen.setdefault(step.number, []).append(float(value.detach()))
            return value

        return replace(task, loss=loss)

    run(spied(), tmp_path, execution.model_copy(update={"states_kept": 9}), batch=batch)
    state = StateStore(tmp_path, 9).before(2)
    losses = seen.pop(3)
    images = [(1, number) for number in range(8)]
    found = replay(task_of(recipe), Incident(3, 2, images, state, 1, batch, []), CPU, execution)
    assert found.losses == losses
    assert found.is_finite


def test_what_several_processes_did_one_does(recipe, execution, tmp_path):
    """Two processes of one pass each see the masks that one process sees in two passes."""
    images = [(0, number) for number in range(8)]
    incident = Incident(0, 1, images, None, world=2, micro=4, passed_over=[])
    still = recipe.model_copy(update={"drop_path": 0.0})
    together = replay(task_of(still), incident, CPU, execution)
    alone = replay(task_of(still), replace(incident, world=1, micro=8), CPU, execution)
    assert len(together.losses) == 2
    assert together.loss == pytest.approx(alone.loss, rel=1e-5)
    assert together.gradient_norm == pytest.approx(alone.gradient_norm, rel=1e-4)


@pytest.mark.usefixtures("state_at_every_step")
def test_without_the_state_before_it_nothing_is_made_up(recipe, execution, tmp_path):
    incident = captured(task_of(recipe, Poisoned(20)), tmp_path, execution)
    incident.state.write_bytes(b"half")
    with pytest.raises(UserError, match="is missing or damaged"):
        replay(task_of(recipe, Poisoned(20)), incident, CPU, execution)


def test_a_step_that_was_passed_over_is_again(recipe, execution, tmp_path):
    goes_back = recipe.model_copy(update={"non_finite": "rewind", "epochs": 30})

    class Rotten(Noise):
        def __getitem__(self, where):
            image, label = super().__getitem__(where)
            return (image * math.nan if where[1] == 7 else image), label

    incidents = []
    with pytest.raises(NonFinite):
        run(task_of(goes_back, Rotten(20)), tmp_path, execution, on_incident=lambda incident: incidents.append(incident) or "")
    found = replay(task_of(goes_back, Rotten(20)), incidents[-1], CPU, execution)
    assert found.images == [(incidents[-1].epoch - 1, 7)]
    assert isinstance(found, Replayed)
