"""Shares of singular values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from dbot.measure.analysis import TOP, singular_shares


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=25)
@given(st.integers(5, 12), st.integers(5, 12), st.integers(0, 2**32 - 1))
def test_against_a_decomposition(patches, width, seed):
    tokens = drawn(seed, 3, patches, width)
    unit = tokens.double() / tokens.double().norm(dim=-1, keepdim=True)
    values = torch.linalg.svdvals(unit)
    assert_close(singular_shares(tokens), values.cumsum(-1)[:, :TOP] / values.sum(-1, keepdim=True), atol=1e-7, rtol=0)


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_all_of_it_lies_in_as_many_directions_as_the_rank(rank):
    shares = singular_shares(drawn(rank, 2, 30, rank) @ drawn(10 + rank, rank, 20))
    assert_close(shares[:, rank - 1 :], torch.ones(2, TOP - rank + 1, dtype=torch.float64), atol=1e-6, rtol=0)
    assert rank == 1 or (shares[:, rank - 2] < 0.999).all()


@settings(deadline=None, max_examples=15)
@given(st.floats(0.01, 100), st.integers(0, 2**32 - 1))
def test_neither_length_nor_direction_of_tokens_counts(scale, seed):
    tokens = drawn(seed, 2, 9, 7).double()
    lengths = scale * torch.rand(2, 9, 1, generator=torch.Generator().manual_seed(seed)).clamp(min=0.1)
    rotation, _ = torch.linalg.qr(drawn(seed, 7, 7).double())
    assert_close(singular_shares(lengths * tokens @ rotation), singular_shares(tokens), atol=1e-9, rtol=0)


def test_fewer_values_than_asked_for():
    shares = singular_shares(drawn(0, 1, 4, 3))
    assert shares.shape == (1, TOP)
    assert_close(shares[0, 2:], torch.ones(3, dtype=torch.float64))
