"""Linear layers in 8-bit floats, beside those that they stand for."""

import pytest
import torch
from torch import nn

from benchmarks import fp8
from benchmarks.fp8 import LARGEST, Float8Linear, in_float8, rounded, why_not
from benchmarks.step import pretraining

CPU = torch.device("cpu")
HERE = pytest.mark.skipif(why_not(CPU) is not None, reason=why_not(CPU) or "")


def test_rows_are_rounded_by_scales_of_their_own() -> None:
    rows = torch.tensor([[1.0, -2.0, 0.5], [1e-3, 0.0, -4e-3], [0.0, 0.0, 0.0]])
    eight, scale = rounded(rows)
    assert eight.float().abs().amax(dim=1).tolist() == [LARGEST, LARGEST, 0.0]
    torch.testing.assert_close(eight.float() * scale, rows, rtol=2**-4, atol=0)  # three bits of mantissa


@HERE
def test_a_layer_gives_what_it_gave_up_to_rounding() -> None:
    torch.manual_seed(0)
    layer, tokens = nn.Linear(64, 48), torch.randn(2, 5, 64)
    found, exact = Float8Linear(layer)(tokens), layer(tokens)
    assert found.shape == exact.shape
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).norm() < 0.05 * exact.norm()


@HERE
def test_every_linear_layer_of_a_teachers_blocks_is_replaced() -> None:
    teacher, _ = pretraining("tiny", CPU, {"precision": "fp32"})
    pixels = torch.rand(2, 3, 32, 32)
    exact = teacher(pixels)
    in_float8(teacher)
    blocks = teacher.get_submodule("encoder.blocks")
    assert sum(isinstance(part, Float8Linear) for part in blocks.modules()) == 2 * 4
    assert not any(isinstance(part, nn.Linear) for part in blocks.modules())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = teacher(pixels)
    assert (found.float() - exact).norm() < 0.1 * exact.norm()


def test_where_there_is_no_such_product_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fp8, "FLOAT8", None)
    assert why_not(CPU) == f"torch {torch.__version__} has no such product"
