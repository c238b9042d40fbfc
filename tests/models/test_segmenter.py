"""UperNet on a pyramid: shapes, dropout, the same initial weights everywhere, and the published sizes."""

import pytest
import torch
from torch import nn

from dbot.base.errors import UserError
from dbot.base.seeds import generator
from dbot.models.segmenter import build_segmenter, enlarged, initialise_heads
from tests.models.stand_in_pyramid import StandInPyramid
from tests.tasks.small_segmentation import recipe


def drawn(seed: int = 0, classes: int = 5):
    segmenter = build_segmenter(StandInPyramid(), recipe(), classes)
    initialise_heads(segmenter, 0.01, generator(seed, "heads"))
    return segmenter


def test_training_gives_both_heads_logits_and_evaluation_one():
    segmenter, images = drawn(), torch.randn(2, 3, 16, 24)
    logits, auxiliary = segmenter.train()(images)
    assert logits.shape == (2, 5, 16, 24), "the finest map has stride 1 here"
    assert auxiliary.shape == (2, 5, 4, 6), "map 2 has stride 4 here"
    (alone,) = segmenter.eval()(images)
    assert alone.shape == logits.shape
    assert enlarged(alone.bfloat16(), (32, 48)).dtype == torch.float32


def test_channels_are_dropped_before_the_classifiers_in_training_only():
    segmenter = build_segmenter(StandInPyramid(), recipe(head={"channels": None, "pool_scales": [1], "dropout": 0.5}), 5)
    assert segmenter.head.channels == segmenter.pyramid.channels, "no number of channels: the encoder's width"
    images = torch.randn(2, 3, 16, 16)
    first, second = (segmenter.train()(images) for _ in range(2))
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(*(segmenter.eval()(images)[0] for _ in range(2)))


def test_initial_heads_come_from_the_seed():
    one, again, other = drawn(0).state_dict(), drawn(0).state_dict(), drawn(1).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.items())
    weights = [name for name, tensor in one.items() if not name.startswith("pyramid.") and tensor.dim() == 4]
    assert all(not torch.equal(one[name], other[name]) for name in weights), "a convolution was not drawn"
    assert one["head.classifier.1.weight"].std().item() == pytest.approx(0.01, rel=0.3)


def test_a_crop_that_no_pyramid_takes_is_refused():
    with pytest.raises(UserError, match=r"augmentation\.crop .* is 20: .* 8"):
        build_segmenter(StandInPyramid(), recipe(augmentation={"crop": 20}), 5)


def count(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize(("width", "head", "auxiliary"), [(768, 68.0, 1.8), (1024, 120.8, 2.4)], ids=["B", "L"])
def test_published_sizes(width, head, auxiliary):
    pyramid = StandInPyramid(channels=1)
    pyramid.channels = width  # the maps' width is all that the heads know of it
    published = recipe(
        head={"channels": None, "pool_scales": [1, 2, 3, 6], "dropout": 0.1, "initial_std": 0.01}, auxiliary={"channels": 256}
    )
    with torch.device("meta"):
        segmenter = build_segmenter(pyramid, published, 150)
    assert count(segmenter.head) == pytest.approx(head, abs=0.05)
    assert count(segmenter.auxiliary) == pytest.approx(auxiliary, abs=0.05)
