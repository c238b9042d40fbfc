"""Hardware that doesn't fit the rest of params.yaml is one line."""

from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.params.load import load
from tests.params_text import params_text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  use: h100 #", "  use: h1000 #", "hardware.use is 'h1000': there is no kind of hardware of that name; declared are: h100, a100"),
        ("        detect: 0.15", "        detect: 1.5", "hardware.kinds.h100.share.detect is 1.5: must be at most 1"),
        ("      price: null #", "      price: 2.5 #", "hardware.kinds.h100.currency is null: say what the price is in"),
        (
            "      title: NVIDIA A100 SXM\n",
            "      title: NVIDIA A100 SXM\n      images_per_second: {distill: {XL: 9.0}}\n",
            "hardware.kinds.a100.images_per_second.distill.XL is not an architecture: use any, or one of: B, L, H",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = params_text()
    assert text.count(old) == 1
    (tmp_path / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(UserError) as caught:
        load(tmp_path / "params.yaml", "paper")
    (line,) = {problem.partition(": ")[2] for problem in caught.value.problems}
    assert line.startswith(said)
