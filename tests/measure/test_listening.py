"""What is heard is what the network computes, and listening leaves no trace."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dbot.measure.analysis import attention_heard, tokens_heard
from dbot.measure.anatomy import anatomy_of
from dbot.models.encoder import encode_all
from tests.measure.networks import asymmetric, classifier, images, symmetric

BUILDERS = [asymmetric, symmetric, classifier]


def heard(listen, network) -> list[Tensor]:
    found: list[Tensor] = []
    with torch.no_grad(), listen(anatomy_of(network.eval()), lambda layer, given: found.insert(layer, given)):
        anatomy_of(network).run(images(3))
    return found


@pytest.mark.parametrize("build", BUILDERS)
def test_the_last_layers_tokens_are_the_encoders(build):
    network = build()
    with torch.no_grad():
        expected = encode_all(network.eval(), images(3), final_norm=False)
    assert_close(heard(tokens_heard, network)[-1], expected)


@pytest.mark.parametrize("build", BUILDERS)
def test_attention_is_what_mixes_the_values(build):
    """Probabilities times values, projected, is what fused attention gives: relative positions and scale are in them."""
    network = build().eval()
    given: list[tuple[Tensor, Tensor]] = []
    hooks = [block.attn.register_forward_hook(lambda _, x, y: given.append((x[0], y))) for block in network.blocks]
    with torch.no_grad():
        anatomy_of(network).run(images(3))
    for hook in hooks:
        hook.remove()
    for attention_BHNN, (input_BND, output_BND), block in zip(heard(attention_heard, network), given, network.blocks, strict=True):
        assert block.attn.fused_attn
        assert_close(attention_BHNN.sum(-1), torch.ones(3, 2, 17))
        assert attention_BHNN.std() > 0.02, "attention is as good as uniform, so this shows nothing"
        value = block.attn.qkv.weight[32:], block.attn.v_bias if hasattr(block.attn, "v_bias") else block.attn.qkv.bias[32:]
        values_BHNV = torch.nn.functional.linear(input_BND, *value).unflatten(-1, (2, 8)).transpose(1, 2)
        assert_close(block.attn.proj((attention_BHNN @ values_BHNV).transpose(1, 2).flatten(2)), output_BND, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fused", [True, False])
def test_nothing_is_left_behind_even_after_a_failure(fused):
    network = asymmetric()
    for block in network.blocks:
        block.attn.fused_attn = fused
    anatomy = anatomy_of(network)

    def fail(layer: int, tokens: Tensor) -> None:
        assert not any(block.attn.fused_attn for block in network.blocks)
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"), attention_heard(anatomy, fail), tokens_heard(anatomy, fail):
        anatomy.run(images(1))
    assert all(block.attn.fused_attn is fused for block in network.blocks)
    assert not any(module._forward_hooks for module in network.modules())


def test_other_networks_stay_fused():
    network, other = asymmetric(), asymmetric(1)
    with attention_heard(anatomy_of(network), print):
        assert all(block.attn.fused_attn for block in other.blocks)
        assert all(block.attn.fused_attn for block in asymmetric(2).blocks), "what is built meanwhile is built without fused attention"
