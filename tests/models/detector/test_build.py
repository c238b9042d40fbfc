"""The whole detector: it trains in every variant, on empty images too, and computes in float32."""

import pytest
import torch

from dbot.models.detector.build import Detector, pad
from tests.models.detector.small import ConvPyramid, batch, detector, published, small, target

pytestmark = pytest.mark.usefixtures("one_thread")

STAGE = {"iou": 0.5, "weight": 1, "stds": [0.1, 0.1, 0.2, 0.2]}
VARIANTS = {
    "published": {},
    "class-agnostic": {"boxes": {"class_agnostic": True}},
    "smooth l1": {"boxes": {"loss": "smooth_l1", "loss_weight": 1}},
    "one stage": {"cascade": {"stages": [STAGE]}},
    "group norm": {"boxes": {"norm": "group"}},
    "anchors over the edge": {"proposals": {"border": None}},
}


def without_gradient(model):
    return [name for name, parameter in model.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("variant", VARIANTS)
def test_trains(variant):
    """Three steps with finite losses that fall, and a gradient at every parameter."""
    model = detector(small(**VARIANTS[variant]))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    images, targets = batch()
    found = []
    for _ in range(3):
        losses = model(images, targets)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        assert not without_gradient(model)
        optimizer.step()
        found.append(total.item())
    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg"} | {
        f"loss_{part}_{number}" for part in ("class", "box", "mask") for number in range(1, len(model.cascade.stages) + 1)
    }
    assert found[2] < found[0]


def test_images_without_objects_train():
    model = detector()
    images, _ = batch()
    losses = model(images, [target([], [], *image.shape[-2:]) for image in images])
    assert all(loss.isfinite() for loss in losses.values())
    assert all(losses[name].item() == 0 for name in losses if "box" in name or "mask" in name)
    torch.stack(list(losses.values())).sum().backward()
    assert not without_gradient(model)


def test_draws_come_from_the_global_generator():
    """Which the loop seeds before every step."""
    images, targets = batch()

    def losses(seed):
        model = detector(small(boxes={"norm": "group"}, cascade={"samples": 4}))
        torch.manual_seed(seed)
        return {name: loss.item() for name, loss in model(images, targets).items()}

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


def test_only_the_pyramid_computes_in_lower_precision():
    model = detector()
    seen = []
    model.pyramid.register_forward_hook(lambda part, args, maps: seen.extend(features.dtype for features in maps))
    for part in (model.neck, model.proposals.head, *(stage.box_predictor for stage in model.cascade.stages)):
        part.register_forward_hook(
            lambda part, args, found: seen.extend(
                t.dtype for t in (found.values() if isinstance(found, dict) else found) if isinstance(t, torch.Tensor)
            )
        )
    images, targets = batch()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images, targets)
    assert torch.bfloat16 in seen[:4]
    assert set(seen[4:]) == {torch.float32}
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


def test_detections():
    model = detector(small(inference={"score": 0.0, "detections": 7})).eval()
    images, _ = batch()
    with torch.no_grad():
        found = model(images)
    for image, of_image in zip(images, found, strict=True):
        assert {name: tuple(values.shape) for name, values in of_image.items()} == {
            "boxes": (7, 4),
            "scores": (7,),
            "labels": (7,),
            "masks": (7, 12, 12),
        }
        height, width = image.shape[-2:]
        assert (of_image["boxes"] >= 0).all()
        assert (of_image["boxes"] <= torch.tensor([width, height, width, height])).all()
        assert set(of_image["labels"].tolist()) <= {1, 2, 3}
        assert torch.equal(of_image["scores"], of_image["scores"].sort(descending=True).values)


def test_training_needs_targets():
    with pytest.raises(TypeError, match="needs targets"):
        detector()(batch()[0])


def test_padding():
    images = [torch.ones(3, 17, 30), torch.ones(3, 33, 8)]
    padded = pad(images, 16)
    assert padded.tensors.shape == (2, 3, 48, 32)
    assert padded.image_sizes == [(17, 30), (33, 8)]
    assert padded.tensors.sum() == 3 * (17 * 30 + 33 * 8)
    assert padded.tensors[0, :, :17, :30].all()


def test_strides_come_from_the_pyramid():
    for patch, strides in ((4, (1, 2, 4, 8, 16)), (16, (4, 8, 16, 32, 64))):
        model = detector(patch=patch)
        assert model.proposals.anchor_generator.strides == strides
        assert model.cascade.pool_boxes.strides == model.cascade.pool_masks.strides == strides[:4]


def test_initial_heads_come_from_the_generator():
    one, again, other = (detector(seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.items())
    same = [name for name, tensor in one.items() if name.endswith("weight") and torch.equal(tensor, other[name]) and tensor.std() > 0]
    assert not same
    assert one["cascade.stages.0.box_predictor.regress.weight"].std() == pytest.approx(1e-3, rel=0.1)
    assert one["proposals.head.cls_logits.weight"].std() == pytest.approx(0.01, rel=0.3)


def millions(part):
    return sum(parameter.numel() for parameter in part.parameters()) / 1e6


@pytest.mark.parametrize(("width", "neck"), [(768, 3.148), (1024, 3.410)], ids=["B", "L"])
def test_parameters_of_the_published_heads(width, neck):
    with torch.device("meta"):
        model = Detector(ConvPyramid(16, width), published(), 80)
    assert millions(model.neck) == pytest.approx(neck, abs=1e-3)
    assert millions(model.proposals) == pytest.approx(0.594, abs=1e-3)
    assert millions(model.cascade) == pytest.approx(54.798, abs=1e-3)
    first = model.cascade.stages[0]
    assert millions(first.box_head) == pytest.approx(15.207, abs=1e-3)
    assert millions(first.box_predictor) == pytest.approx(0.415, abs=1e-3)
    assert millions(first.mask_head) + millions(first.mask_predictor) == pytest.approx(2.644, abs=1e-3)
