"""From a declaration in params.yaml to a teacher."""

from dbot.models.released.envelope import Say, silent
from dbot.models.teachers.networks import file_teacher, timm_teacher
from dbot.models.teachers.package import ModuleTeacher
from dbot.models.teachers.teacher import Teacher
from dbot.params.scales import Normalisation
from dbot.params.teachers import FileTeacher, PackageTeacher, TimmTeacher

Foreign = TimmTeacher | PackageTeacher | FileTeacher
"""Declarations of networks that come from elsewhere than this table."""


def foreign_teacher(declared: Foreign, final_norm: bool, statistics: Normalisation, say: Say = silent) -> Teacher:
    """The teacher that a declaration names.

    Args:
        declared: which network.
        final_norm: whether its final norm is applied, where that can be said of it.
        statistics: of pixels, where the network comes without any.
        say: told what is assumed of it.

    Raises:
        UserError: it can't be had as declared.
    """
    if isinstance(declared, TimmTeacher):
        return timm_teacher(declared, final_norm)
    if isinstance(declared, PackageTeacher):
        return ModuleTeacher(declared)
    return file_teacher(declared, final_norm, statistics, say)
