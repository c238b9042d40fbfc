"""The recipe of detection: what a wrong figure is told."""

import pytest
from pydantic import ValidationError

from dbot.params.dense import Detect
from dbot.params.load import ALLOWED
from tests.models.detector.small import published


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"channels": 20}, "multiple_of"),
        ({"boxes": {"loss": "l1"}}, "literal_error"),
        ({"cascade": {"stages": []}}, "too_short"),
        ({"cascade": {"stages": [{"iou": 0.5, "weight": 1, "stds": [0.1, 0.1]}]}}, "too_short"),
        ({"inference": {"score": 5}}, "less_than_equal"),
        ({"proposals": {"anchors": 9}}, "extra_forbidden"),
    ],
)
def test_wrong_figures_are_refused(change, kind):
    with pytest.raises(ValidationError) as caught:
        published(**change)
    (error,) = caught.value.errors()
    assert error["type"] == kind
    assert kind == "extra_forbidden" or kind in ALLOWED, "the message would be pydantic's"


def test_every_field_is_described():
    def described(model):
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            if hasattr(field.annotation, "model_fields"):
                described(field.annotation)

    described(Detect)
