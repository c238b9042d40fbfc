"""What the training of a row's own network starts from: weights among its inputs, a teacher's, or random ones."""

from typing import Any

from dbot.jobs.experiment import Experiment
from dbot.jobs.kind import Beginning, Checkpoint
from dbot.params.rows import Row
from dbot.params.source import KeyPath
from dbot.params.teachers import TimmTeacher


def with_teacher(experiment: Experiment, row: Row, settings: dict[str, Any]) -> list[KeyPath]:
    """Put the teacher that a row fine-tunes among the settings of its training, if it does; returns where that was read from."""
    if row.from_teacher is None:
        return []
    settings["teacher"], sources = experiment.of_teacher(row.from_teacher)
    return sources


def start_of(given: Beginning) -> Checkpoint | None:
    """The weights that a job starts from, named as a student's; None where it starts from random ones."""
    if "start" in given.job.inputs:
        return given.checkpoint("start")
    name = given.params.rows[given.job.key["row"]].from_teacher
    if name is None:
        return None
    from dbot.models.teachers.networks import timm_teacher

    declared = given.params.teachers[name]
    assert isinstance(declared, TimmTeacher), f"teacher {name} can't be fine-tuned"
    weights = timm_teacher(declared, final_norm=True).network.state_dict()
    own = {f"encoder.{key}": tensor for key, tensor in weights.items() if not key.startswith(("head", "fc_norm"))}
    return Checkpoint(own, {}, f"teacher {name}")
