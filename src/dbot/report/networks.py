"""The networks that rows come from: first teachers, the students of stages, and released files."""

from collections.abc import Iterator
from dataclasses import dataclass

from dbot.params.teachers import FileTeacher, PackageTeacher, RandomTeacher, RowTeacher, Teacher, TimmTeacher
from dbot.plan import Plan


@dataclass(frozen=True)
class Network:
    """A row's network."""

    row: str
    stage: int
    """0: its first teacher."""
    title: str
    """What it is, in words."""
    place: tuple[str, int]
    """The row and stage under which it is measured: another row's, where they share it."""
    finetuned: bool = False
    """Whether it is a released file that was fine-tuned."""

    @property
    def is_own(self) -> bool:
        """Whether it is measured as this row's."""
        return self.place == (self.row, self.stage)


def networks(plan: Plan) -> list[Network]:
    """Those of every row, in the table's order, each row's first teacher first."""
    return [network for row in plan.resolved.params.table_rows for network in _of_row(plan, row)]


def _of_row(plan: Plan, name: str) -> Iterator[Network]:
    params = plan.resolved.params
    row = params.rows[name]
    for stage in plan.networks_of(name):
        place = plan.stands_for(name, stage)
        tuned = stage not in plan.stages_of(name)
        if row.released is not None:
            title = f"released weights {plan.finetuned_file(name) if tuned else row.released}"
        elif stage > 0:
            title = f"student of stage {stage}"
        else:
            assert row.teacher is not None
            title = _taught_by(params.teachers[row.teacher], place)
        yield Network(name, stage, title, place, tuned)


def _taught_by(teacher: Teacher, place: tuple[str, int]) -> str:
    if isinstance(teacher, RandomTeacher):
        return "teacher: random patch embedding" if teacher.depth == 0 else "teacher: random network"
    if isinstance(teacher, RowTeacher):
        return f"teacher: {place[0]}, stage {place[1]}"
    if isinstance(teacher, TimmTeacher):
        return f"teacher: {teacher.model}"
    if isinstance(teacher, PackageTeacher):
        return f"teacher: {teacher.network}"
    assert isinstance(teacher, FileTeacher)
    return f"teacher: {teacher.path}"
