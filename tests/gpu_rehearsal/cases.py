"""Which trainings of the paper's scale are rehearsed: one of every kind, and the largest of each."""

from dataclasses import dataclass, field
from typing import Any

from dbot.plan import Job, Plan
from tests.gpu_rehearsal.trainings import AS_IT_IS, Variation


@dataclass(frozen=True)
class Case:
    """A job, and how it is rehearsed."""

    verb: str
    key: dict[str, str]
    note: str = ""
    variation: Variation = field(default=AS_IT_IS)

    @property
    def name(self) -> str:
        return "-".join((self.verb, *self.key.values(), *filter(None, [self.note])))

    def job(self, plan: Plan) -> Job:
        return plan.job(self.verb, **self.key)


def _distill(row: str, note: str = "", **changes: Any) -> Case:
    return Case("distill", {"row": row, "stage": "1"}, note, Variation(**changes))


def _finetune(row: str, note: str = "", **changes: Any) -> Case:
    return Case("finetune", {"row": row, "seed": "0"}, note, Variation(**changes))


LANDSCAPE, PORTRAIT = (800, 1333), (1333, 800)
"""Height and width of the largest images of detection."""


def _detect(row: str, note: str, *sides: tuple[int, int]) -> Case:
    return Case("detect", {"row": row, "seed": "0"}, note, Variation(sides=sides))


CASES = (
    *(_distill(row) for row in ("B-B", "B-H", "B-CLIP", "B-CLIP-absolute", "L-L", "L-CLIP", "H-H", "H-CLIP")),
    _distill("H-CLIP", "checkpointing", checkpointing=True),
    _distill("B-B", "follows", recipe={"teacher_momentum": 0.99, "precision": "fp16", "non_finite": "skip"}),
    _distill("B-B", "masks", recipe={"masks_per_image": 3}, accumulation=2),
    _distill("B-B", "plain", recipe={"shortcuts": False, "non_finite": "rewind"}),
    *(_finetune(row) for row in ("B-B", "B-CLIP", "B-CLIP-absolute", "L-L", "L-CLIP", "H-H", "H-CLIP", "H448-H", "H448-CLIP")),
    _finetune("H448-CLIP", "checkpointing", checkpointing=True),
    _finetune("B-B", "fp16", recipe={"precision": "fp16"}, accumulation=2),
    _finetune("B-B", "processes", world=8, accumulation=2),
    _finetune("H-H", "resumed", resumed=True),
    _distill("B-CLIP", "processes", world=8),
    _detect("B-B", "landscape", LANDSCAPE),
    _detect("B-B", "both", LANDSCAPE, PORTRAIT),
    *(_detect(row, "both", LANDSCAPE, PORTRAIT) for row in ("B-CLIP-absolute", "L-L", "L-CLIP-absolute")),
    *(Case("segment", {"row": row, "seed": "0"}) for row in ("B-B", "B-CLIP", "L-L", "L-CLIP")),
    Case("segment", {"row": "B-B", "seed": "0"}, "processes", Variation(world=8)),
    Case("transfer", {"row": "L-L", "dataset": "inat2018", "seed": "0"}),
    Case("transfer", {"row": "H-H", "dataset": "cars", "seed": "0"}),
)
