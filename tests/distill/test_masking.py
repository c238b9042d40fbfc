"""Properties of random masks, and of the target's normalisation."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from dbot.base.seeds import generator
from dbot.distill.masking import random_mask
from dbot.distill.target import normalise_tokens


@given(batch=st.integers(1, 4), patches=st.integers(2, 64), ratio=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_a_mask_is_a_partition(batch, patches, ratio, seed):
    noise = torch.rand(batch, patches, generator=generator(seed))
    mask = random_mask(noise, ratio)
    visible = int(patches * (1 - ratio))
    assert mask.keep_BK.shape == (batch, visible)
    assert mask.masked_BN.sum(dim=1).tolist() == [patches - visible] * batch
    assert torch.equal(mask.masked_BN.gather(1, mask.keep_BK), torch.zeros(batch, visible))
    assert torch.equal(mask.restore_BN.sort(dim=1).values, torch.arange(patches).expand(batch, -1))


@given(patches=st.integers(4, 32), seed=st.integers(0, 99))
def test_restoring_undoes_the_shuffle(patches, seed):
    noise = torch.rand(1, patches, generator=generator(seed))
    mask = random_mask(noise, 0.5)
    values = torch.arange(patches).unsqueeze(0)
    shuffled = torch.cat(
        [values.gather(1, mask.keep_BK), values[mask.masked_BN.bool()][noise[mask.masked_BN.bool()].argsort()].unsqueeze(0)], 1
    )
    assert torch.equal(shuffled.gather(1, mask.restore_BN), values)


@given(scale=st.floats(0.1, 100), shift=st.floats(-100, 100), seed=st.integers(0, 9))
def test_normalised_tokens_forget_scale_and_shift(scale, shift, seed):
    tokens = torch.randn(2, 3, 16, generator=generator(seed), dtype=torch.float64)
    torch.testing.assert_close(normalise_tokens(tokens * scale + shift), normalise_tokens(tokens), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(normalise_tokens(tokens).var(dim=-1), torch.ones(2, 3, dtype=torch.float64), atol=1e-4, rtol=0)
