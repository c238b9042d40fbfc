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
    Allowed("copy cpu to cuda", LOOP, "Meter.new", "once an epoch: the step that stands for none"),
    Allowed("value", "models/detector/pooler.py", "Pooler._by_level", "how many boxes each map has, six times a pass, all maps at once"),
    Allowed("nonzero", f"{DETECTOR}/cascade.py", "Cascade.losses", "torchvision samples boxes by mask"),
    Allowed("nonzero", f"{DETECTOR}/cascade.py", "Cascade.losses.<locals>.<listcomp>", "how many are positive, by stage and image"),
    Allowed("mask as index", f"{DETECTOR}/cascade.py", "_proposed", "how many boxes go to the next stage, once a stage and image"),
    Allowed("mask as index", f"{DETECTOR}/losses.py", "box_loss", "torchvision's GIoU takes the boxes that overlap by mask"),
    Allowed("mask as index", LOOP, "_train", "the same in the backward pass"),
    Allowed("nonzero", f"{DETECTOR}/build.py", "Detector.forward", "torchvision's proposals: sampled, and filtered, by mask"),
    Allowed("nms", f"{DETECTOR}/build.py", "Detector.forward", "how many proposals are left, once an image"),
    Allowed(
        "mask as index",
        f"{DETECTOR}/proposals.py",
        "ProposalNetwork.assign_targets_to_anchors",
        "how many anchors are inside, once an image",
    ),
)
DOUBLES = (
    Allowed("zeros", LOOP, "Meter.new", "one number: the sum of an epoch's losses"),
    Allowed("zeros_like", LOOP, "_train", "one number: a step's loss"),
    Allowed("add_", LOOP, "_train", "one number: losses are summed up"),
    Allowed("abs", LOOP, "_train", "one number: whether the loss is finite"),
    Allowed("clone", LOOP, "_close_epoch", "one number: what processes sum"),
    Allowed("allreduce_", "train/distributed.py", "Processes.sum", "one number: what processes sum"),
)


def strangers(found: Iterable[Place], allowed: Iterable[Allowed]) -> list[str]:
    """What was seen and is on no list."""
    known = {one.place for one in allowed}
    return sorted(str(place) for place in found if place not in known)
