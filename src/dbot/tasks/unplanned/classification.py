"""A classifier on labelled images, and on the sets that try it."""

from collections.abc import Callable
from pathlib import Path

import torch

from dbot.base.errors import UserError
from dbot.data.at_hand import LabelledFolder, class_folders
from dbot.data.labelled import LabelledPixels
from dbot.data.transforms import Transform
from dbot.measure.classification import Scores, Tally
from dbot.measure.outputs import WORDNET, Matching, is_numbers, matched
from dbot.measure.robustness import corruption_folders, mean_corruption_error, on_list, real_labels, real_of
from dbot.models.released.envelope import Say
from dbot.models.subject import Subject, squashed
from dbot.tasks.unplanned.findings import Finding, Run, findings, outputs

IMAGENET_1K = 1000
"""Outputs of the classifiers that the sets are made for."""
NUMBERED, BY_WORDNET = "0 to 999", "WordNet ids"
SETS = {
    "imagenet-v2": NUMBERED,
    "imagenet-a": BY_WORDNET,
    "imagenet-r": BY_WORDNET,
    "imagenet-sketch": BY_WORDNET,
}
"""By set of class folders, how these are called."""
AMONG_THEIR_OWN = ("imagenet-a", "imagenet-r")
"""Sets of 200 classes, among whose outputs alone the prediction is looked for."""


def classify(
    subject: Subject, images: LabelledPixels, matching: Matching, run: Run, subset: bool = False, transform: Transform | None = None
) -> Scores:
    """The scores of a classifier.

    Args:
        subject: which.
        images: with labels of the data set.
        matching: which output stands for which of its classes.
        run: how.
        subset: whether only these outputs are looked at; else all are, and any other is wrong.
        transform: how an image is prepared. None: as the network wants it.
    """
    tally = Tally(run.device)
    chosen_C = torch.tensor(matching.outputs, device=run.device)
    for logits_NC, labels_N, _ in outputs(subject, images, run, transform=transform):
        if subset:
            tally.add(logits_NC[:, chosen_C], labels_N)
        else:
            tally.add(logits_NC, chosen_C[labels_N])
    return tally.scores(run.processes)


def scored(measure: str, scores: Scores, part: str = "") -> list[Finding]:
    """The findings of a classifier."""
    metrics = {
        "top-1": (scores.top1, "%"),
        "top-5": (scores.top5, "%"),
        "ECE": (scores.ece, "%"),
        "Brier score": (scores.brier, ""),
        "cross-entropy": (scores.loss, "nats"),
    }
    return findings(measure, metrics, scores.images, part)


def on_validation(subject: Subject, folder: LabelledFolder, run: Run, subset: bool, say: Say) -> tuple[list[Finding], Scores]:
    """Top-1, top-5, calibration error and Brier score on the validation images of a folder."""
    subject.require_head("its accuracy")
    matching = matched(folder.classes, subject.outputs, subject.names)
    say(f"classes matched {matching.how}")
    if (few := len(folder.classes)) < subject.outputs:
        say(
            f"the data have {few:,} of the {subject.outputs:,} classes; "
            + ("only theirs are" if subset else "every output is")
            + " looked at"
        )
    scores = classify(subject, folder.part("validation", "accuracy"), matching, run, subset)
    return scored("cls", scores), scores


def on_set(name: str, subject: Subject, folder: Path, run: Run, labels: Path | None, say: Say) -> list[Finding]:
    """A classifier of ImageNet on one of the sets that `dbot.measure.robustness` describes.

    Raises:
        UserError: the network is no classifier of ImageNet-1K, or the folder doesn't hold the set.
    """
    subject.require_head(name)
    if subject.outputs != IMAGENET_1K:
        raise UserError(
            f"{subject.title}: has {subject.outputs:,} outputs, and {name} is for classifiers of ImageNet's {IMAGENET_1K:,} classes"
        )
    if name == "imagenet-c":
        return _corrupted(subject, folder, run, say)
    if name == "imagenet-real":
        return _relabelled(subject, folder, run, labels, say)
    found = class_folders(folder, _called(SETS[name]))
    for line in found.left_out:
        say(line)
    matching = matched(found.classes, subject.outputs, subject.names)
    return scored(name, classify(subject, found.parts["validation"], matching, run, name in AMONG_THEIR_OWN))


def _called(how: str) -> Callable[[str], bool]:
    if how is NUMBERED:
        return lambda name: is_numbers([name]) and int(name) < IMAGENET_1K
    return lambda name: WORDNET.fullmatch(name) is not None


def _corrupted(subject: Subject, folder: Path, run: Run, say: Say) -> list[Finding]:
    """Errors by corruption and severity, the corruption errors, and their mean. The images come cropped, and are not cropped again."""
    whole, errors, images = squashed(subject), dict[str, list[float]](), 0
    found: list[Finding] = []
    for corruption, places in corruption_folders(folder).items():
        errors[corruption], seen = [], 0
        for place in places:
            given = class_folders(place, _called(BY_WORDNET))
            matching = matched(given.classes, subject.outputs, subject.names)
            scores = classify(subject, given.parts["validation"], matching, run, transform=whole)
            errors[corruption].append(100 - scores.top1)
            found += findings("imagenet-c", {"error": (100 - scores.top1, "%")}, scores.images, f"{corruption}/{place.name}")
            seen += scores.images
        say(f"{corruption}: error {sum(errors[corruption]) / len(places):.2f} % over {seen:,} images")
        images += seen
    mean, relative = mean_corruption_error(errors)
    for corruption, value in relative.items():
        found += findings("imagenet-c", {"CE": (value, "%")}, None, corruption)
    return [*findings("imagenet-c", {"mCE": (mean, "%")}, images), *found]


def _relabelled(subject: Subject, folder: Path, run: Run, file: Path | None, say: Say) -> list[Finding]:
    """The share of ImageNet's validation images whose prediction is among their ReaL labels."""
    from dbot.data.at_hand import labelled_folder

    images = labelled_folder(folder).part("validation", "ReaL accuracy")
    lists = real_of(map(str, images.paths), real_labels(file))
    numbers = [number for number, labels in enumerate(lists) if labels]
    say(f"{len(lists) - len(numbers):,} of {len(lists):,} images have no ReaL label and are left out")
    if not numbers:
        raise UserError(f"{folder}: no image of it has a ReaL label; name the folder of ImageNet's validation images")
    counts = torch.zeros(3, dtype=torch.int64)
    for logits_NC, _, batch in outputs(subject, images, run, numbers):
        counts += torch.tensor(on_list(logits_NC.topk(5, dim=1).indices, [lists[number] for number in batch]))
    count, first, any_of_five = counts.tolist()
    return findings("imagenet-real", {"top-1": (100 * first / count, "%"), "top-5": (100 * any_of_five / count, "%")}, count)
