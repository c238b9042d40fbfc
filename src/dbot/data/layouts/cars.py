"""Layout `cars`: Stanford Cars as one folder of images and `cars_annos.mat`."""

from pathlib import Path

import numpy as np

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import read_matlab, understood
from dbot.data.layouts.listing import PARTS, Listing, Part, Place, Sample
from dbot.params.datasets import Dataset

ANNOTATIONS = "cars_annos.mat"
TEST_FLAG = {"train": 0, "test": 1}


def needs(dataset: Dataset) -> str:
    return f"{ANNOTATIONS}, which lists both parts, beside the folder of images that it names (the devkit's two files are another release)"


def fits(root: Path, dataset: Dataset) -> bool:
    return (root / ANNOTATIONS).is_file()


def read(place: Place) -> Listing:
    """Each record holds the image's path, four numbers of a box, the class from 1, and whether it is a test image."""
    path = place.root / ANNOTATIONS
    variables = read_matlab(path)
    samples: dict[Part, list[Sample]] = {}
    with understood(path, "the annotation file of Stanford Cars"):
        classes = [str(name) for name in np.ravel(variables["class_names"])]
        records = [(str(record[0]), int(record[5]) - 1, int(record[-1])) for record in np.ravel(variables["annotations"])]
        for part in PARTS:
            subset = place.split(part).images
            if subset not in TEST_FLAG:
                raise UserError(f"{place.key(part, 'images')} is {subset!r}: the subsets of layout cars are {' and '.join(TEST_FLAG)}")
            samples[part] = [Sample(name, label) for name, label, test in records if test == TEST_FLAG[subset]]
        if any(not 0 <= label < len(classes) for _, label, _ in records):
            raise ValueError("a class without a name")
    return Listing(classes, samples)
