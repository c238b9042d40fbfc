"""The tiny COCO set of the data room's tests."""

from tests.data.conftest import declare, picture
from tests.data.objects.conftest import coco

__all__ = ["coco", "declare", "picture"]
