"""FLOPs and weights of detectors and segmenters against those of the real networks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dbot.flops import block, detector, detector_weights, segmenter, segmenter_weights, sides, windows
from dbot.params.document import Params
from dbot.tasks.detect import new_detector
from dbot.tasks.segment import new_segmenter
from dbot.tasks.windows import _spans
from tests.flops.counted import counted
from tests.tasks.shapes import picture

CLASSES = 3


def numbers(module: nn.Module) -> int:
    """Without the counters of batch norms."""
    return sum(tensor.numel() for tensor in module.state_dict().values() if tensor.ndim)


def test_a_segmenter(demo: Params, one_thread: None) -> None:
    architecture, recipe = demo.architectures["B"], demo.recipes.segment["asymmetric-B"]
    made = new_segmenter(architecture, recipe, CLASSES)
    images = torch.zeros(2, 3, 32, 32)
    training = segmenter(architecture, recipe, CLASSES, 32, 32, training=True).training("bf16").total
    assert counted(lambda: torch.stack([one.sum() for one in made.train()(images)]).sum()) / 2 == pytest.approx(training, rel=0.02)
    inference = segmenter(architecture, recipe, CLASSES, 32, 32, training=False).inference("bf16").total
    assert counted(lambda: made.eval()(images)[0].sum(), backward=False) / 2 == pytest.approx(inference, rel=0.02)
    assert numbers(made) == segmenter_weights(architecture, recipe, CLASSES)


@pytest.mark.parametrize("masks", [True, False], ids=["with masks", "boxes only"])
def test_a_detector(demo: Params, one_thread: None, masks: bool) -> None:
    """How many proposals and positives there are differs from image to image; the forecast takes as many as may be."""
    architecture, recipe = demo.architectures["B"], demo.recipes.detect["asymmetric-B"]
    made = new_detector(architecture, recipe, CLASSES, masks)
    images, targets = zip(*(picture(number, 64) for number in range(2)), strict=True)
    pixels = [image.float() / 255 for image in images]
    seen = [{name: value for name, value in target.items() if isinstance(value, Tensor)} for target in targets]
    found = counted(lambda: torch.stack(list(made.train()(pixels, seen).values())).sum()) / 2
    cost = detector(architecture, recipe, CLASSES, 64, 64, training=True, masks=masks)
    assert cost.training("bf16").by_precision["bf16"] < found < 1.02 * cost.training("bf16").total
    assert numbers(made) == detector_weights(architecture, recipe, CLASSES, masks)


def test_checkpointing_computes_the_blocks_once_more(demo: Params) -> None:
    architecture, recipe = demo.architectures["B"], demo.recipes.segment["asymmetric-B"]
    cost = segmenter(architecture, recipe, CLASSES, 32, 32, True)
    blocks = architecture.depth * block(1 + 64, architecture.width, architecture.mlp_ratio)
    assert cost.training("bf16", checkpointing=True).total == pytest.approx(cost.training("bf16").total + blocks)


@given(st.integers(1, 900), st.integers(1, 900), st.integers(8, 512), st.floats(0.1, 1))
def test_windows_are_as_many_as_are_cut(height: int, width: int, window: int, share: float) -> None:
    stride = max(1, int(window * share))
    assert windows(height, width, window, stride) == len(_spans(height, window, stride)) * len(_spans(width, window, stride))


@given(st.floats(10, 2000), st.floats(10, 2000), st.floats(1, 3))
def test_an_image_keeps_its_aspect_and_its_limits(short: float, long: float, aspect: float) -> None:
    low, high = sides(short, long, aspect)
    assert high == pytest.approx(low * aspect)
    assert low <= short * 1.0001
    assert high <= long * 1.0001
