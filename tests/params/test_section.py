"""Which typed section stands at a place of params.yaml."""

import pytest

from dbot.params.document import Params, read_parts
from dbot.params.recipes import AsymmetricPretrain, Optimizer, SymmetricPretrain
from dbot.params.section import model_at
from dbot.params.source import KeyPath
from dbot.params.teachers import TimmTeacher
from tests.conftest import PROJECT

DOCUMENT = read_parts(PROJECT / "params.yaml").data


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ((), Params),
        (("recipes", "pretrain", "asymmetric"), AsymmetricPretrain),
        (("recipes", "pretrain", "symmetric"), SymmetricPretrain),
        (("recipes", "pretrain", "symmetric", "optimizer"), Optimizer),
        (("teachers", "clip-B"), TimmTeacher),
        (("recipes", "pretrain", "symmetric", "epochs"), None),
        (("nowhere",), None),
    ],
)
def test_the_section_at_a_place(path: KeyPath, section: type | None) -> None:
    assert model_at(Params, path, DOCUMENT) is section
