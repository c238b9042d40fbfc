"""The small file that a training leaves beside its state for a step that was not finite."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError, field_validator

from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.jobs.kind import kinds
from dbot.plan import Job
from dbot.train.incident import Incident

MOST = 3
"""Incidents of one job that are captured, since each may keep a state from being dropped."""


class Record(BaseModel):
    """An incident as a file has it. It names no file outside its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["dbot incident 1"] = "dbot incident 1"
    verb: str
    """A kind that trains."""
    scale: str
    key: dict[str, str]
    """What tells the job from the verb's others."""
    step: NonNegativeInt
    epoch: PositiveInt
    images: list[tuple[int, int]]
    """(epoch, number) of the step's batch."""
    paths: dict[str, str]
    """By number, the image's file, where the data set has files."""
    state: str | None
    """Name of the state before it, in the same folder."""
    world: PositiveInt
    micro: PositiveInt
    passed_over: list[NonNegativeInt]

    @field_validator("verb")
    @classmethod
    def _trains(cls, verb: str) -> str:
        if not (verb in kinds() and kinds()[verb].trains):
            raise ValueError(f"{verb!r} trains nothing")
        return verb

    def incident(self, folder: Path) -> Incident:
        """As the training has it."""
        state = None if self.state is None else folder / Path(self.state).name
        return Incident(self.step, self.epoch, list(self.images), state, self.world, self.micro, self.passed_over)


def write(folder: Path, job: Job, incident: Incident, paths: dict[str, str]) -> Path | None:
    """Write an incident of a job; None where there are enough of them."""
    path = folder / f"incident-step-{incident.step + 1}.json"
    if not path.exists() and len(list(folder.glob("incident-step-*.json"))) >= MOST:
        return None
    record = Record(
        verb=job.verb,
        scale=job.scale,
        key=dict(job.key),
        step=incident.step,
        epoch=incident.epoch,
        images=incident.images,
        paths=paths,
        state=None if incident.state is None else incident.state.name,
        world=incident.world,
        micro=incident.micro,
        passed_over=incident.passed_over,
    )
    write_whole(path, (json.dumps(record.model_dump(), indent=1) + "\n").encode())
    return path


def read(path: Path) -> Record:
    """An incident.

    Raises:
        UserError: the file is missing, or is none.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); name an incident-step-*.json below state/") from None
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UserError(f"{path}: is not the record of an incident ({reason}); name an incident-step-*.json below state/") from None
