"""Tables of relative position biases on other grids."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.errors import UserError
from dbot.models.relative import SPECIAL, resize_relative_positions, stretch, table_side


def table(grid: int, heads: int = 2) -> torch.Tensor:
    return torch.randn(table_side(grid) ** 2 + SPECIAL, heads, generator=torch.Generator().manual_seed(grid))


@pytest.mark.parametrize(("old", "new", "ratio"), [(14, 32, 1.1349), (16, 32, 1.0969)])
def test_the_published_ratios(old, new, ratio):
    steps, reach = table_side(old) // 2, table_side(new) // 2
    q = stretch(steps, reach)
    assert q == pytest.approx(ratio, abs=5e-5)
    assert sum(q**i for i in range(steps)) == pytest.approx(reach)


@given(grid=st.integers(1, 16))
def test_the_same_grid_changes_nothing(grid):
    values = table(grid)
    assert resize_relative_positions(values, grid) is values


@given(old=st.integers(3, 12), new=st.integers(3, 20))
def test_what_every_resized_table_has(old, new):
    """Its size, the special rows as they were, the bias at distance 0, and the symmetry of what it came from."""
    values, side = table(old), table_side(new)
    found = resize_relative_positions(values, new)
    assert found.shape == (side**2 + SPECIAL, 2)
    assert torch.equal(found[-SPECIAL:], values[-SPECIAL:])
    torch.testing.assert_close(found[:-SPECIAL][side**2 // 2], values[:-SPECIAL][table_side(old) ** 2 // 2], atol=1e-5, rtol=0)
    turned = torch.cat([values[:-SPECIAL].flip(0), values[-SPECIAL:]])
    expected = torch.cat([found[:-SPECIAL].flip(0), found[-SPECIAL:]])
    torch.testing.assert_close(resize_relative_positions(turned, new), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("old", "new"), [(14, 32), (16, 32), (8, 16), (4, 8)])
def test_old_distances_lie_in_a_geometric_progression(old, new):
    """A cubic that is given at 0, 1, 1 + q, 1 + q + q², ... is read at whole distances, rows and columns in their places."""
    steps, reach = old - 1, new - 1
    q = stretch(steps, reach)
    positive = [sum(q**i for i in range(n)) for n in range(1, old)]
    given_at = torch.tensor([*(-p for p in reversed(positive)), 0.0, *positive], dtype=torch.float64)
    asked_at = torch.arange(-reach, reach + 1, dtype=torch.float64)

    def cubic(at):
        y, x = torch.meshgrid(at / reach, at / reach, indexing="ij")
        return (x**3 - 2 * y**2 * x + 0.5 * y + 1).reshape(-1, 1)

    special = torch.zeros(SPECIAL, 1, dtype=torch.float64)
    found = resize_relative_positions(torch.cat([cubic(given_at), special]), new)[:-SPECIAL]
    torch.testing.assert_close(found, cubic(asked_at), atol=1e-9, rtol=0)


def test_a_smaller_grid_keeps_the_near_distances():
    values = table(8)
    found = resize_relative_positions(values, 5)[:-SPECIAL].reshape(9, 9, 2)
    torch.testing.assert_close(found, values[:-SPECIAL].reshape(15, 15, 2)[3:12, 3:12])


@pytest.mark.parametrize(("values", "said"), [(table(2), "grid of 2 patches"), (torch.zeros(230, 2), "has 230 rows")])
def test_what_can_not_be_resized_is_one_line(values, said):
    with pytest.raises(UserError, match=said) as caught:
        resize_relative_positions(values, 16)
    assert "\n" not in str(caught.value)
