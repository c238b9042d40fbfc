from pathlib import Path

import pytest

from dbot.base.files import locked


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with locked(path, 0), pytest.raises(TimeoutError, match="was locked"), locked(path, 0):
        pass
    with locked(path, 0):
        pass
