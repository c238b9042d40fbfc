"""Drop path of subsets: always as many samples, all alike often, the expectation of the whole branch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import DropPath
from torch import nn

from dbot.models.blocks import add_branch
from dbot.models.stochastic_depth import SubsetDropPath, drop_subsets, kept_of, least_batch


@given(st.integers(1, 200), st.just(0.0) | st.floats(1e-6, 0.99))
def test_what_is_kept_is_the_share_that_the_rate_leaves_to_the_nearest_sample(batch, rate):
    assert abs(kept_of(batch, rate) - batch * (1 - rate)) <= 0.5 + 1e-6
    if rate > 0 and batch >= 2 * least_batch(rate):
        assert 0 < kept_of(batch, rate) < batch


@pytest.mark.parametrize(("rate", "least"), [(0, 1), (0.5, 1 + 1), (0.2, 3), (0.1, 5), (0.9, 6)])
def test_the_least_batch_of_which_some_are_dropped_and_some_kept(rate, least):
    assert least_batch(rate) == least
    if rate:
        assert 0 < kept_of(least, rate) < least


def test_as_many_are_kept_every_time_and_every_sample_as_often():
    drop_path, often = SubsetDropPath(0.3).train(), torch.zeros(10)
    torch.manual_seed(0)
    for _ in range(2000):
        kept, scale = drop_path.subset(10, torch.device("cpu"))
        assert len(set(kept.tolist())) == 7
        assert scale == pytest.approx(10 / 7)
        often[kept] += scale
    torch.testing.assert_close(often / 2000, torch.ones(10), atol=0.06, rtol=0)  # about four standard deviations


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_a_branch_of_the_kept_alone_is_that_of_all_where_they_are_kept(rate):
    drop_path, layer = SubsetDropPath(rate).train(), nn.Linear(3, 3)
    given_BLD = torch.randn(5, 2, 3)
    seen: list[int] = []

    def branch(tokens_BLD):
        seen.append(len(tokens_BLD))
        return layer(tokens_BLD)

    torch.manual_seed(1)
    short = add_branch(given_BLD, branch, drop_path)
    torch.manual_seed(1)
    whole = given_BLD + drop_path(layer(given_BLD))
    torch.testing.assert_close(short, whole)
    assert seen == [kept_of(5, rate)]
    assert (short != given_BLD).any(dim=(1, 2)).sum() == kept_of(5, rate)
    short.sum().backward()
    assert layer.weight.grad.abs().sum() > 0
    assert torch.equal(add_branch(given_BLD, layer, drop_path.eval()), given_BLD + layer(given_BLD)), "nothing is dropped in evaluation"


def test_it_takes_the_place_of_every_drop_path_and_no_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(DropPath(0.2), nn.Identity()), DropPath(0.5))
    names = list(model.state_dict())
    drop_subsets(model)
    assert [(type(part), part.drop_prob) for part in model.modules() if isinstance(part, DropPath)] == [
        (SubsetDropPath, 0.2),
        (SubsetDropPath, 0.5),
    ]
    assert list(model.state_dict()) == names
