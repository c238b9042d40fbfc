"""A classifier on labelled images, and on the sets that try it: the numbers that `dbot measure` shows and that jobs of a plan record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import torch

from dbot.base.errors import UserError
from dbot.data.at_hand import LabelledFolder, class_folders, labelled_folder
from dbot.data.labelled import LabelledPixels
from dbot.data.layouts.corruptions import CORRUPTIONS, SEVERITIES, by_severity, severities
from dbot.data.transforms import Transform
from dbot.measure.classification import Scores, Tally
from dbot.measure.outputs import WORDNET, Matching, is_numbers, matched
from dbot.measure.robustness import ALEXNET, mean_corruption_error, on_list, real_labels, real_of
from dbot.models.released.envelope import Say
from dbot.models.subject import Subject, squashed
from dbot.params.datasets import Dataset
from dbot.tasks.measuring.findings import Finding, Run, findings, outputs

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
    subject: Subject,
    images: LabelledPixels,
    matching: Matching,
    run: Run,
    subset: bool = False,
    transform: Transform | None = None,
    numbers: Sequence[int] | None = None,
) -> Scores:
    """The scores of a classifier.

    Args:
        subject: which.
        images: with labels of the data set.
        matching: which output stands for which of its classes.
        run: how.
        subset: whether only these outputs are looked at; else all are, and any other is wrong.
        transform: how an image is prepared. None: as the network wants it.
        numbers: of the images that count. None: all.
    """
    tally = Tally(run.device)
    chosen_C = torch.tensor(matching.outputs, device=run.device)
    for logits_NC, labels_N, _ in outputs(subject, images, run, numbers, transform):
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
        return _corrupted_set(subject, folder, run, say)
    if name == "imagenet-real":
        return _relabelled_set(subject, folder, run, labels, say)
    found = class_folders(folder, _called(SETS[name]))
    for line in found.left_out:
        say(line)
    matching = matched(found.classes, subject.outputs, subject.names)
    return scored(name, classify(subject, found.parts["validation"], matching, run, name in AMONG_THEIR_OWN))


def _called(how: str) -> Callable[[str], bool]:
    if how is NUMBERED:
        return lambda name: is_numbers([name]) and int(name) < IMAGENET_1K
    return lambda name: WORDNET.fullmatch(name) is not None


@dataclass(frozen=True)
class Corrupted:
    """What was measured of a classifier on corrupted images."""

    errors: Mapping[str, list[float]]
    """By corruption, the top-1 errors at each severity, in percent."""
    images: Mapping[str, list[int]]
    """Over how many images each of them is measured."""
    relative: Mapping[str, float]
    """Corruption errors, in percent of the reference's."""
    mean: float
    """Their mean, the mean corruption error."""


def corrupted(
    subject: Subject, images: LabelledPixels, matching: Matching, run: Run, reference: Mapping[str, float] | None, say: Say
) -> Corrupted:
    """Errors by corruption and severity, the corruption errors, and their mean. The images come cropped, and are not cropped again.

    Args:
        subject: the classifier.
        images: called `corruption/severity/class/image`.
        matching: which output stands for which of their classes.
        run: how.
        reference: by corruption, the mean error that the classifier's is divided by. None: by nothing.
        say: told how it stands.

    Raises:
        UserError: a corruption or a severity is missing.
    """
    whole, errors, counts = squashed(subject), dict[str, list[float]](), dict[str, list[int]]()
    for corruption, numbered in by_severity(map(str, images.paths)).items():
        scores = [classify(subject, images, matching, run, transform=whole, numbers=numbers) for numbers in numbered]
        errors[corruption] = [100 - each.top1 for each in scores]
        counts[corruption] = [each.images for each in scores]
        say(f"{corruption}: error {fmean(errors[corruption]):.2f} % over {sum(counts[corruption]):,} images")
    mean, relative = mean_corruption_error(errors, reference)
    return Corrupted(errors, counts, relative, mean)


@dataclass(frozen=True)
class Relabelled:
    """What was measured of a classifier on images that have lists of labels."""

    images: int
    """That have a label at all; the others count nowhere."""
    top1: float
    """Share of them whose prediction is on their list, in percent."""
    top5: float
    """Share of those that have any of the five highest logits on it."""


def relabelled(subject: Subject, images: LabelledPixels, labels: Sequence[Sequence[int]], run: Run, say: Say) -> Relabelled:
    """The share of images whose prediction is among their labels.

    Args:
        subject: the classifier.
        images: called as ImageNet's validation images are.
        labels: by number of the image, from 0 on, the numbers of the outputs that stand for what it shows; perhaps none.
        run: how.
        say: told what is left out.

    Raises:
        UserError: no image has a label, or one isn't called so.
    """
    lists = real_of(map(str, images.paths), labels)
    numbers = [number for number, of in enumerate(lists) if of]
    say(f"{len(lists) - len(numbers):,} of {len(lists):,} images have no ReaL label and are left out")
    if not numbers:
        raise UserError(f"{images.root}: no image of it has a ReaL label; name the folder of ImageNet's validation images")
    counts = torch.zeros(3, dtype=torch.float64, device=run.device)
    for logits_NC, _, batch in outputs(subject, images, run, numbers):
        ranked_NK = logits_NC.topk(min(5, logits_NC.shape[1]), dim=1).indices
        counts += torch.tensor(on_list(ranked_NK, [lists[number] for number in batch]), device=run.device)
    count, first, any_of_five = run.processes.sum(counts).tolist()
    return Relabelled(int(count), 100 * first / count, 100 * any_of_five / count)


def _corrupted_set(subject: Subject, folder: Path, run: Run, say: Say) -> list[Finding]:
    severities(folder, CORRUPTIONS)
    given = labelled_folder(folder, Dataset(title=folder.name, root=str(folder), layouts=["corruptions"]))
    for line in given.left_out:
        say(line)
    matching = matched(given.classes, subject.outputs, subject.names)
    found = corrupted(subject, given.parts["validation"], matching, run, ALEXNET, say)
    listed = findings("imagenet-c", {"mCE": (found.mean, "%")}, sum(map(sum, found.images.values())))
    for corruption, errors in found.errors.items():
        for severity, error, images in zip(SEVERITIES, errors, found.images[corruption], strict=True):
            listed += findings("imagenet-c", {"error": (error, "%")}, images, f"{corruption}/{severity}")
    for corruption, value in found.relative.items():
        listed += findings("imagenet-c", {"CE": (value, "%")}, None, corruption)
    return listed


def _relabelled_set(subject: Subject, folder: Path, run: Run, file: Path | None, say: Say) -> list[Finding]:
    found = relabelled(subject, labelled_folder(folder).part("validation", "ReaL accuracy"), real_labels(file), run, say)
    return findings("imagenet-real", {"top-1": (found.top1, "%"), "top-5": (found.top5, "%")}, found.images)
