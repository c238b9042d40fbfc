"""The published analysis: attention maps to distances, tokens to shares of singular values."""

import math

import pytest
from torch.testing import assert_close

from dbot.measure.analysis import attention_distance, patch_distances, singular_shares
from tests.parity.conftest import Figures, figures


@pytest.fixture(scope="module")
def published() -> Figures:
    return figures("property_analysis")


def test_attention_distance(published):
    """Class token dropped, what was attended to it not made up for."""
    attention_LHNN, patch = published["attention"], int(published.config["patch_size"])
    side = math.isqrt(attention_LHNN.shape[-1] - 1)
    found = attention_distance(attention_LHNN, patch_distances((side, side), (patch, patch)))
    assert_close(found, published["mean_distance"], atol=1e-9, rtol=1e-9)


def test_singular_shares(published):
    features_LBPD, expected = published["features"], published["svd_top_k"]
    found = singular_shares(features_LBPD.flatten(0, 1)).unflatten(0, features_LBPD.shape[:2]).mean(dim=1)
    assert_close(found, expected, atol=1e-9, rtol=1e-9)
