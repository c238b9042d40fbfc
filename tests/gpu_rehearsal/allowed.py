"""Where the host may wait for the device, and where numbers may be float64: each place with its reason."""

from collections.abc import Iterable
from typing import NamedTuple

from tests.gpu_rehearsal.watch import Place


class Allowed(NamedTuple):
    """A place, and why it is in order."""

    what: str
    file: str
    function: str
    reason: str

    @property
    def place(self) -> Place:
        return Place(self.what, self.file, self.function)


LOOP = "train/loop.py"
DETECTOR = "models/detector"

WAITS = (
    Allowed("value", LOOP, "_train.<locals>.is_finite", "once a progress line, state and epoch: whether all was finite"),
    Allowed("value", LOOP, "_close_epoch", "once an epoch: its mean loss"),
    Allowed("value", LOOP, "_update", "whether the gradient is finite, where a recipe says `non_finite: skip`"),
    Allowed("value", LOOP, "_train.<locals>.save", "once a state: the scale of fp16's gradients"),
    Allowed("copy cpu to cuda", LOOP, "Meter.new", "once an epoch: the step that stands for none"),
    Allowed("value", "models/detector/pooler.py", "Pooler._by_level", "how many boxes each map has, six times a pass, all maps at once"),
    Allowed("nonzero", f"{DETECTOR}/cascade.py", "Cascade.losses", "torchvision samples boxes by mask"),
    Allowed("nonzero", f"{DETECTOR}/cascade.py", "Cascade.losses.<locals>.<listcomp>", "how many are positive, by stage and image"),
    Allowed("mask as index", f"{DETECTOR}/cascade.py", "_proposed", "how many boxes go to the next stage, once a stage and image"),
    Allowed("mask as index", f"{DETECTOR}/losses.py", "box_loss", "torchvision's GIoU takes the boxes that overlap by mask"),
    Allowed("mask as index", LOOP, "_train", "the same in the backward pass"),
    Allowed("nonzero", f"{DETECTOR}/build.py", "Detector.forward", "torchvision's proposals: sampled, and filtered, by mask"),
    Allowed("nms", f"{DETECTOR}/build.py", "Detector.forward", "how many proposals are left, once an image"),
    Allowed("copy cpu to cuda", f"{DETECTOR}/build.py", "Detector.forward", "a number of torchvision's beside nms, which waits"),
    Allowed("mask as index", "models/pyramid.py", "Pyramid.forward.<locals>.<listcomp>", "torch's SyncBatchNorm: processes without pixels"),
    Allowed("mask as index", "models/segmenter.py", "Segmenter.forward", "the same, once a layer of the heads"),
    Allowed(
        "mask as index",
        f"{DETECTOR}/proposals.py",
        "ProposalNetwork.assign_targets_to_anchors",
        "how many anchors are inside, once an image",
    ),
)
DOUBLES = (
    Allowed("float64", LOOP, "Meter.new", "one number: the sum of an epoch's losses"),
    Allowed("float64", LOOP, "_train", "one number: a step's loss"),
    Allowed("float64", LOOP, "_update", "one number: torch inverts the scale of fp16's gradients"),
    Allowed("float64", LOOP, "_close_epoch", "one number: what processes sum"),
    Allowed("float64", LOOP, "Meter.state", "one number: a loss for the state"),
    *(Allowed("float64", "train/distributed.py", f"Processes.{name}", "one number of every process") for name in ("sum", "gather")),
)
MEASURED_WAITS = (
    Allowed("copy cpu to cuda", "base/on_device.py", "numbers_on", "once a process: pixel statistics and the like"),
    Allowed("copy cpu to cuda", "tasks/classify.py", "evaluate", "images, which are decoded meanwhile by nobody else"),
    Allowed("value", "measure/classification.py", "Tally.scores", "once: the sums"),
    Allowed("copy cpu to cuda", "train/loading.py", "on_device", "images, which are decoded meanwhile by loaders"),
    Allowed("copy cpu to cuda", "tasks/detect.py", "evaluate_detection", "an image"),
    Allowed("value", f"{DETECTOR}/pooler.py", "Pooler._by_level", "how many boxes each map has"),
    Allowed("nonzero", f"{DETECTOR}/build.py", "Detector.forward", "torchvision's proposals are filtered by mask"),
    Allowed("nms", f"{DETECTOR}/build.py", "Detector.forward", "how many proposals are left"),
    Allowed("copy cpu to cuda", f"{DETECTOR}/build.py", "Detector.forward", "a number of torchvision's beside nms, which waits"),
    Allowed("copy cpu to cuda", f"{DETECTOR}/anchors.py", "StridedAnchors.forward", "once a process: the anchors of each map"),
    Allowed("nonzero", f"{DETECTOR}/cascade.py", "Cascade.detect", "torchvision's detections are filtered by mask"),
    Allowed("unique", f"{DETECTOR}/cascade.py", "Cascade.detect", "which classes there are"),
    Allowed("nms", f"{DETECTOR}/cascade.py", "Cascade.detect", "how many detections of a class are left"),
    Allowed("copy cpu to cuda", "tasks/segment.py", "evaluate_segmentation", "an image and its labels"),
    Allowed("mask as index", "tasks/confusion.py", "confusion", "pixels that have a class, once an image"),
    Allowed("bincount", "tasks/confusion.py", "confusion", "once an image"),
    Allowed("value", "tasks/segment.py", "evaluate_segmentation", "once: whether any pixel had a class"),
    Allowed("copy cpu to cuda", "tasks/features.py", "features", "images, which are decoded meanwhile"),
    Allowed("copy cuda to cpu", "tasks/features.py", "features", "features, which are kept in main memory"),
    Allowed("copy cpu to cuda", "measure/knn.py", "_nearest", "the training images' features, which are kept in main memory"),
    Allowed("copy cpu to cuda", "measure/knn.py", "knn", "the validation images' features"),
    Allowed("value", "measure/knn.py", "knn", "once: the hits"),
    Allowed("copy cpu to cuda", "measure/linear.py", "_share", "once: features that are fitted"),
    Allowed("value", "measure/linear.py", "accuracy", "once: the hits"),
    Allowed("copy cpu to cuda", "measure/analysis.py", "analyse_network", "images"),
    Allowed("value", "measure/analysis.py", "analyse_network", "once: how many images there were"),
    Allowed("check of linear algebra", "measure/analysis.py", "singular_shares", "whether eigenvalues were found, once a layer"),
    Allowed("copy cpu to cuda", "measure/cka.py", "compare_networks", "images"),
    Allowed("value", "measure/cka.py", "compare_networks", "once: how many images there were, and what was found"),
)
MEASURED_DOUBLES = (
    Allowed("float64", "measure/classification.py", "Tally.__init__", "a few numbers: sums over the images"),
    Allowed("float64", "measure/classification.py", "Tally.add", "probabilities, whose bins and squares are summed"),
    Allowed("float64", "measure/classification.py", "Tally.add.<locals>.<listcomp>", "the same"),
    Allowed("float64", "measure/classification.py", "Tally.scores", "the same"),
    Allowed("float64", "measure/classification.py", "reliability", "the same"),
    Allowed("float64", "measure/classification.py", "brier_scores", "the same"),
    Allowed("float64", "measure/knn.py", "knn", "votes of 20 neighbours, where ties count"),
    *(
        Allowed("float64", "measure/linear.py", function, "the solver's line search ends too early in float32")
        for function in ("_sums", "accuracy", "Standardisation.of", "linear_probe")
    ),
    *(
        Allowed("float64", "measure/cka.py", function, "means far from 0 would cost digits")
        for function in (
            "Moments.__init__.<locals>.zeros",
            "Moments.add",
            "Moments.reduce",
            "Moments.cka",
            "Moments._norms",
            "_patch_tokens",
        )
    ),
    Allowed("float64", "measure/cka.py", "_patch_tokens.<locals>.<lambda>", "the same"),
    Allowed("float64", "measure/cka.py", "compare_networks", "the same"),
    Allowed("float64", "measure/analysis.py", "singular_shares", "roots of eigenvalues of a Gram matrix lose half of the digits"),
    Allowed("float64", "measure/analysis.py", "analyse_network", "sums over all images"),
    Allowed("float64", "measure/analysis.py", "analyse_network.<locals>.add_distance", "sums over all images"),
    Allowed("float64", "measure/analysis.py", "analyse_network.<locals>.add_shares", "sums over all images"),
)


def strangers(found: Iterable[Place], allowed: Iterable[Allowed]) -> list[str]:
    """What was seen and is on no list."""
    known = {one.place for one in allowed}
    return sorted(str(place) for place in found if place not in known)
