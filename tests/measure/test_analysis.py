"""A network's properties do not depend on how its images come."""

import pytest
import torch
from torch import Tensor

from dbot.base.errors import UserError
from dbot.measure.analysis import analyse_network
from dbot.measure.insides import Insides
from tests.measure.networks import CPU, asymmetric, classifier, images, split, symmetric
from tests.measure.test_anatomy import foreign

COUNT = 9


def numbers(found: Insides) -> list[float]:
    return [value for grid in (found.distances, found.shares) for row in grid for value in row]


@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize(("build", "sizes"), [(asymmetric, [4, 4, 1]), (symmetric, [1] * COUNT), (classifier, [7, 2])])
def test_batches_do_not_count(build, sizes, renormalise):
    """Least of all a short last one, which the published code gives the weight of a full one."""
    network = build()
    whole = analyse_network(network, [images(COUNT)], CPU, renormalise=renormalise)
    parts = analyse_network(network, split(images(COUNT), sizes), CPU, renormalise=renormalise)
    assert numbers(parts) == pytest.approx(numbers(whole), rel=1e-5)


def test_what_is_found():
    found = analyse_network(asymmetric(depth=3, heads=4), [images(COUNT)], CPU)
    assert [len(row) for row in found.distances] == [4] * 3
    assert [len(row) for row in found.shares] == [5] * 3
    assert all(0 < value < 12 * 2**0.5 for row in found.distances for value in row)
    assert all(list(row) == sorted(row) and row[-1] < 1 for row in found.shares)


def test_drop_path_does_not_disturb():
    network = asymmetric().train()
    assert analyse_network(network, [images(COUNT)], CPU) == analyse_network(network.train(), [images(COUNT)], CPU)


def test_uniform_attention():
    """Without queries, a head attends to all tokens alike."""
    network = asymmetric(image_size=224, patch_size=16, depth=1)
    with torch.no_grad():
        network.blocks[0].attn.qkv.weight.zero_()
    plain = analyse_network(network, [images(1, 224)], CPU)
    assert plain.distances[0] == pytest.approx([115.90] * 2, abs=0.01)
    renormalised = analyse_network(network, [images(1, 224)], CPU, renormalise=True)
    assert renormalised.distances[0] == pytest.approx([116.49] * 2, abs=0.01)


def test_a_foreign_teacher_on_pixels():
    found = analyse_network(foreign("vit_tiny_patch16_224", 64), [torch.rand(2, 3, 32, 32)], CPU)
    assert [len(row) for row in found.distances] == [3] * 12
    assert all(value < 48 * 2**0.5 for row in found.distances for value in row)


def test_no_image():
    with pytest.raises(UserError, match="no image to analyse"):
        analyse_network(asymmetric(), [], CPU)


@pytest.mark.parametrize("first", [4, 0, COUNT])
def test_processes_add_up_to_one(first):
    """Shares of any size, an empty one too; what the other process gives is added to what this one does."""
    theirs: list[Tensor] = []

    def sent(values: Tensor) -> Tensor:
        theirs.append(values.clone())
        return values + 1  # as if the other were still to come

    analyse_network(symmetric(), images(COUNT)[:first].split(2) if first else [], CPU, sent)
    received = iter(theirs)
    found = analyse_network(symmetric(), images(COUNT)[first:].split(2) if first < COUNT else [], CPU, lambda v: v + next(received))
    assert numbers(found) == pytest.approx(numbers(analyse_network(symmetric(), [images(COUNT)], CPU)), rel=1e-5)
