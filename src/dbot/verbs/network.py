"""Which network a job reads: what an earlier stage left behind, or what a row's teacher declares."""

from dbot.base.errors import UserError
from dbot.distill.boundary import Promoted, first_teacher, promote
from dbot.lineage.session import Session
from dbot.models import checkpoint
from dbot.models.teachers.declared import foreign_teacher
from dbot.models.teachers.teacher import Teacher
from dbot.models.timm_form import design_of
from dbot.params.architectures import Architecture
from dbot.params.teachers import RandomTeacher, RowTeacher
from dbot.plan import STUDENT
from dbot.verbs.training import TrainingJob


def left_behind(run: Session, role: str, row: str) -> Promoted:
    """The student among a job's inputs, seen from a row."""
    left_by = run.inputs[role]
    weights, about = checkpoint.load(run.artifact(role, STUDENT[left_by.verb]))
    return Promoted(weights, Architecture.model_validate(about["architecture"]), design_of(about), left_by.key.get("row") == row)


def frozen_network(job: TrainingJob, row: str, stage: int, image_size: int | None = None) -> Teacher:
    """The network of a row after a stage or, at stage 0, its first teacher: pixels in, tokens after its final norm out.

    Args:
        job: the job that looks at it; the student of a stage is its input ``student``.
        row: which row.
        stage: which network of it.
        image_size: side of the images that it shall see, in pixels. None: its own.

    Raises:
        UserError: it can't be had, or can't see images of that size.
    """
    if stage > 0:
        return student_network(job, row, "student", image_size)
    params = job.plan.params
    statistics, declared = params.normalisation, params.rows[row]
    teacher = params.teacher_of(declared)
    assert not isinstance(teacher, RowTeacher), "the plan looks at another row's student there"
    if not isinstance(teacher, RandomTeacher):
        sized = teacher.model_copy(update={"image_size": image_size or teacher.image_size})
        return foreign_teacher(sized, True, statistics)
    recipe = params.recipes.pretrain[declared.recipe].of_stage(1)
    found = first_teacher(params.architectures[declared.architecture], recipe, teacher, statistics)
    return _seeing(job, found, row, image_size)


def student_network(job: TrainingJob, row: str, role: str, image_size: int | None = None) -> Teacher:
    """The student among a job's inputs, as `frozen_network` gives networks.

    Raises:
        UserError: it can't see images of that size.
    """
    return _seeing(job, left_behind(job.run, role, row), row, image_size)


def _seeing(job: TrainingJob, found: Promoted, row: str, image_size: int | None) -> Teacher:
    size, patch = image_size or found.architecture.image_size, found.architecture.patch_size
    if size % patch:
        raise UserError(f"image_size is {size}: must be a multiple of the patch size of row {row}, {patch}")
    return promote(found, size // patch, True, job.plan.params.normalisation)
