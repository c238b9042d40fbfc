"""Layout `flowers`: Oxford 102 Flowers as `jpg/`, `imagelabels.mat` and `setid.mat`."""

from pathlib import Path

import numpy as np

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import read_matlab, understood
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

LABELS = "imagelabels.mat"
SUBSETS = "setid.mat"


def needs(dataset: Dataset) -> str:
    return f"jpg/, {LABELS} and {SUBSETS}"


def fits(root: Path, dataset: Dataset) -> bool:
    return (root / "jpg").is_dir() and (root / LABELS).is_file() and (root / SUBSETS).is_file()


def read(place: Place) -> Listing:
    """Subsets are joined by `+`: the published fine-tuning trains on `trnid+valid`. The classes have numbers, no names."""
    labels, subsets = read_matlab(place.root / LABELS), read_matlab(place.root / SUBSETS)
    with understood(place.root / LABELS, "the label file of Oxford Flowers"):
        label_of = [int(label) for label in np.ravel(labels["labels"])]
        if min(label_of) < 1:
            raise ValueError("a class below 1")
    samples: dict[Part, list[Sample]] = {}
    for part in PARTS:
        wanted = place.split(part).images
        samples[part] = []
        for subset in wanted.split("+"):
            if subset not in subsets:
                known = ", ".join(name for name in subsets if not name.startswith("__"))
                raise UserError(
                    f"{place.key(part, 'images')} is {wanted!r}: {place.root / SUBSETS} has no subset {subset!r}; it has {known}"
                )
            with understood(place.root / SUBSETS, "the subset file of Oxford Flowers"):
                numbers = [int(number) for number in np.ravel(subsets[subset])]
                samples[part].extend(Sample(f"jpg/image_{number:05d}.jpg", label_of[number - 1] - 1) for number in sorted(numbers))
    return Listing([str(number) for number in range(1, max(label_of) + 1)], samples)
