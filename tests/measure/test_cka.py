"""Linear CKA: its invariances, and the definition on all examples at once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dbot.base.errors import UserError
from dbot.measure.analysis import tokens_heard
from dbot.measure.anatomy import anatomy_of
from dbot.measure.cka import Moments, compare_networks
from dbot.measure.insides import Similarity
from tests.measure.networks import CPU, asymmetric, images, split, symmetric

SEEDS = st.integers(0, 2**32 - 1)


def defined(first_nD: Tensor, second_nE: Tensor) -> float:
    """By the centred Gram matrices of the examples."""
    one, other = ((x - x.mean(0)) @ (x - x.mean(0)).T for x in (first_nD.double(), second_nE.double()))
    return float((one * other).sum() / (one.norm() * other.norm()))


def cka(first_AnD: Tensor, second_BnE: Tensor) -> Tensor:
    moments = Moments(*((len(tokens), tokens.shape[-1]) for tokens in (first_AnD, second_BnE)), CPU)
    moments.add(first_AnD, second_BnE)
    return moments.cka()


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.integers(2, 9), st.integers(2, 9), st.floats(-1e4, 1e4))
def test_the_definition(seed, width, other, mean):
    """However far from 0 the means of features are."""
    first, second = drawn(seed, 2, 20, width) + mean, drawn(seed + 1, 3, 20, other)
    expected = [[defined(x, y) for y in second] for x in first]
    assert cka(first, second).tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.floats(0.01, 100))
def test_rotation_and_isotropic_scaling_do_not_count(seed, scale):
    first, second = drawn(seed, 1, 20, 6), drawn(seed + 1, 1, 20, 6)
    rotation, _ = torch.linalg.qr(drawn(seed + 2, 6, 6))
    assert cka(first, scale * first @ rotation).item() == pytest.approx(1)
    assert cka(first, scale * second @ rotation + 3).item() == pytest.approx(cka(first, second).item())


def numbers(found: Similarity) -> list[float]:
    return [value for row in found.cka for value in row]


@pytest.mark.parametrize("build", [asymmetric, symmetric])
def test_a_network_is_like_itself(build):
    found = compare_networks(build(), build(), [images(5)], CPU).cka
    assert [found[layer][layer] for layer in range(2)] == pytest.approx([1, 1])
    assert found[0][1] == pytest.approx(found[1][0])
    assert found[0][1] != pytest.approx(1)


def tokens_of(network: nn.Module, batch: Tensor) -> list[Tensor]:
    found: list[Tensor] = []
    with torch.no_grad(), tokens_heard(anatomy_of(network.eval()), lambda _, heard: found.append(heard[:, 1:].flatten(0, 1))):
        anatomy_of(network).run(batch)
    return found


def test_networks_of_other_depth_width_and_design():
    """Patches are the examples; the class token is none."""
    first, second = asymmetric(), symmetric(depth=3, width=24)
    found = compare_networks(first, second, split(images(7), [3, 3, 1]), CPU)
    expected = [[defined(x, y) for y in tokens_of(second, images(7))] for x in tokens_of(first, images(7))]
    assert [list(row) for row in found.cka] == [pytest.approx(row, abs=1e-6) for row in expected]


@pytest.mark.parametrize("size", [1, 3, 6])
def test_batches_do_not_count(size):
    networks = asymmetric(), asymmetric(1)
    whole = compare_networks(*networks, [images(7)], CPU)
    assert numbers(compare_networks(*networks, images(7).split(size), CPU)) == pytest.approx(numbers(whole), rel=1e-5)


def test_sums_of_shares_are_the_sums_of_all():
    """What processes exchange: here the other's sums are known, and added."""
    first, second = drawn(0, 2, 20, 4), drawn(1, 1, 20, 3)
    mine, other = (Moments((2, 4), (1, 3), CPU) for _ in range(2))
    mine.add(first[:, :6], second[:, :6])
    other.add(first[:, 6:], second[:, 6:])
    theirs = iter((other.count_1, other.sum_AD, other.sum_BE, other.products_ADD, other.products_BEE, other.products_ADBE))
    mine.reduce(lambda values: values + next(theirs))
    assert torch.allclose(mine.cka(), cka(first, second))


@pytest.mark.parametrize(
    ("batches", "side", "said"), [([], 16, "no image to compare"), ([images(1)], 20, "grids of 4 x 4 and 5 x 5 patches can't be compared")]
)
def test_what_cannot_be_compared_is_one_line(batches, side, said):
    with pytest.raises(UserError, match=said) as caught:
        compare_networks(asymmetric(), asymmetric(image_size=side), batches, CPU)
    assert "\n" not in str(caught.value)
