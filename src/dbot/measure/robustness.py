"""Classifiers of ImageNet on the sets that try them: which images and labels these are, and the numbers that papers report of them.

| set | images | what is reported |
|---|---|---|
| ImageNet-V2 (Recht et al., arXiv 1902.10811) | `0/` to `999/`, called by the class's number | top-1 of all outputs |
| ReaL (Beyer et al., arXiv 2006.07159) | those of validation, with a list of labels each | share whose prediction is on its list |
| ImageNet-A (Hendrycks et al., arXiv 1907.07174) | 200 classes | top-1 among their 200 outputs |
| ImageNet-R (Hendrycks et al., arXiv 2006.16241) | 200 classes | top-1 among their 200 outputs |
| ImageNet-Sketch (Wang et al., arXiv 1905.13549) | 1,000 classes | top-1 of all outputs |
| ImageNet-C (Hendrycks & Dietterich, arXiv 1903.12261) | 15 corruptions at 5 severities | mean corruption error |
"""

import json
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from dbot.base.errors import UserError
from dbot.data.layouts.corruptions import SEVERITIES, is_corruptions
from dbot.measure.outputs import is_numbers, is_wordnet

ALEXNET: Mapping[str, float] = {
    "gaussian_noise": 88.6428,
    "shot_noise": 89.4468,
    "impulse_noise": 92.2640,
    "defocus_blur": 81.9880,
    "glass_blur": 82.6268,
    "motion_blur": 78.5948,
    "zoom_blur": 79.8360,
    "snow": 86.6816,
    "frost": 82.6572,
    "fog": 81.9324,
    "brightness": 56.4592,
    "contrast": 85.3204,
    "elastic_transform": 64.6056,
    "pixelate": 71.7840,
    "jpeg_compression": 60.6500,
}
"""By corruption of ImageNet-C, the error of AlexNet in percent, the mean over its severities (Hendrycks & Dietterich, table 1)."""
REAL_NAME = re.compile(r"_val_(\d{8})")
"""How ImageNet's validation images are called (`ILSVRC2012_val_00000001`); the number says which entry of the ReaL labels is an image's."""


def mean_corruption_error(
    errors: Mapping[str, Sequence[float]], reference: Mapping[str, float] | None = ALEXNET
) -> tuple[float, dict[str, float]]:
    """The mean corruption error, and the corruption errors that it is the mean of, in percent (section 4.1).

    The errors of a corruption are summed over its severities, over the sum of the reference's: 100 is as bad as AlexNet. On sets
    without a reference nothing is divided, as its authors do on CIFAR-10-C: the mean of the errors themselves.

    Args:
        errors: by corruption, the top-1 errors at each of its severities, in percent.
        reference: by corruption, the mean error of the reference network. None: there is none.

    Raises:
        UserError: a corruption of the reference or a severity is missing (the mean is defined over all), or there is none at all.
    """
    wanted = list(errors if reference is None else reference)
    missing = [name for name in wanted if len(errors.get(name, ())) != len(SEVERITIES)]
    if missing or not wanted:
        lacks = f"{missing[0]} lacks some" if missing else "there is none"
        raise UserError(f"the mean corruption error needs {len(wanted)} corruptions at {len(SEVERITIES)} severities; {lacks}")
    relative = {name: 100 * fmean(errors[name]) / (100 if reference is None else reference[name]) for name in wanted}
    return fmean(relative.values()), relative


def real_labels(file: Path | None) -> list[list[int]]:
    """The ReaL labels: by number of the validation image, from 0 on, the classes that it shows; none where annotators found none.

    Args:
        file: `real.json` as its authors publish it. None: the copy that timm has.

    Raises:
        UserError: the file can't be read, or is no list of lists of numbers.
    """
    try:
        content = pkgutil.get_data("timm.data", "_info/imagenet_real_labels.json") if file is None else file.read_bytes()
        labels = json.loads(content or b"")
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); name the file of ReaL labels, real.json") from None
    except ValueError:
        labels = None
    if not isinstance(labels, list) or not all(isinstance(each, list) and all(type(n) is int for n in each) for each in labels):
        raise UserError(f"{file}: is no list of lists of class numbers, as real.json is; get it again from its authors")
    return labels


def real_of(paths: Iterable[str], labels: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """By image, its ReaL labels, which the number in its name finds.

    Raises:
        UserError: an image is not called as ImageNet's validation images are, or has no entry.
    """
    found: list[Sequence[int]] = []
    for path in paths:
        name = REAL_NAME.search(path.rpartition("/")[2])
        if name is None:
            raise UserError(
                f"{path}: isn't called ILSVRC2012_val_<number>, by which ReaL labels are found; name a folder with original names"
            )
        number = int(name[1])
        if not 1 <= number <= len(labels):
            raise UserError(f"{path}: has no ReaL labels, which are of {len(labels):,} images; name the file that has them")
        found.append(labels[number - 1])
    return found


def on_list(ranked_NK: Tensor, labels: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    """Of some images those with labels, how many have their first prediction on their list, and how many any of K.

    Args:
        ranked_NK: numbers of the classes with the highest logits, the highest first.
        labels: by image, its list; images whose list is empty are left out.
    """
    hits = [torch.isin(row, torch.tensor(list(of), device=row.device)) for row, of in zip(ranked_NK, labels, strict=True) if of]
    return len(hits), sum(bool(hit[0]) for hit in hits), sum(bool(hit.any()) for hit in hits)


@cache
def subset_ids(name: str) -> frozenset[str]:
    """The WordNet ids of the classes of `imagenet-a` or `imagenet-r`."""
    content = pkgutil.get_data("timm.data", f"_info/{name.replace('-', '_')}_synsets.txt")
    return frozenset((content or b"").decode().split())


def recognised(folder: Path) -> str:
    """Which of the sets a folder holds, by what lies right in it.

    Raises:
        UserError: nothing says so.
    """
    names = {entry.name for entry in folder.iterdir() if entry.is_dir()} if folder.is_dir() else set()
    if is_corruptions(folder):
        return "imagenet-c"
    if names and is_numbers(sorted(names)):
        return "imagenet-v2"
    if names and is_wordnet(sorted(names)):
        for subset in ("imagenet-a", "imagenet-r"):
            if names == subset_ids(subset):
                return subset
        if len(names) == 1000:
            raise UserError(
                f"{folder}: has the 1,000 classes of ImageNet, and of ImageNet-Sketch; say which it is (--as cls or imagenet-sketch)"
            )
    wanted = "the 15 corruptions of ImageNet-C, 0 to 999 of ImageNet-V2, or the 200 classes of ImageNet-A or -R"
    raise UserError(f"{folder}: is none of the sets that are known by their folders ({wanted}); say which it is (--as imagenet-a, …)")
