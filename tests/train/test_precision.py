"""Full precision holds in its block, and what held before holds after it."""

import pytest
import torch

from dbot.train.precision import full_precision

PRODUCTS = torch.backends.cuda.matmul


@pytest.mark.parametrize("before", [True, False])
def test_products_keep_their_bits_in_the_block(before):
    found = PRODUCTS.allow_tf32
    PRODUCTS.allow_tf32 = before
    try:
        with full_precision():
            assert PRODUCTS.allow_tf32 is False
        assert PRODUCTS.allow_tf32 is before
    finally:
        PRODUCTS.allow_tf32 = found
