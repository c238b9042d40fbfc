"""Layout `imagenet-tars`: ImageNet as image-net.org has it: a tar of tars, a tar of validation images, the devkit with their classes."""

import tarfile
from pathlib import Path

import numpy as np

from dbot.base.errors import UserError
from dbot.data.layouts.annotations import read_matlab, understood
from dbot.data.layouts.files import BROKEN, Extent, members, tar_extents
from dbot.data.layouts.listing import Listing, Place, Read, Sample
from dbot.params.datasets import Dataset

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"


def needs(dataset: Dataset) -> str:
    return f"{TRAIN}, {VALIDATION} and {DEVKIT}.tar.gz (or {TRUTH} and {META} out of it)"


def fits(root: Path, dataset: Dataset) -> bool:
    return (root / TRAIN).is_file() and (root / VALIDATION).is_file()


def read(place: Place) -> Listing:
    """Images get the paths and labels that they have when they are sorted into folders of classes, and so the same digests."""
    packed: dict[str, Read] = dict(_training(place.root / TRAIN))
    classes = sorted({path.split("/")[1] for path in packed})
    labels = {name: label for label, name in enumerate(classes)}
    training = [Sample(path, labels[path.split("/")[1]]) for path in sorted(packed)]
    validation = []
    images = {Path(name).name: extent for name, extent in members(place.root / VALIDATION).items()}
    truth = _truth(place)
    if len(images) != len(truth):
        raise UserError(f"{place.root / VALIDATION}: holds {len(images)} images, {TRUTH} classes of {len(truth)}; get both again")
    for name, wnid in zip(sorted(images), truth, strict=True):
        if wnid not in labels:
            raise UserError(f"{place.root / TRAIN}: holds no {wnid}.tar, a class of {VALIDATION}; get it again")
        validation.append(Sample(f"val/{wnid}/{name}", labels[wnid]))
        packed[validation[-1].path] = images[name]
    return Listing(classes, {"train": training, "validation": sorted(validation)}, packed=packed)


def _training(path: Path) -> list[tuple[str, Extent]]:
    """Images of the tars inside the tar of training images, by the path in folders of classes."""
    found = []
    try:
        with path.open("rb") as stream:
            for name, inner in list(tar_extents(path, stream)):
                stream.seek(inner.offset)
                found += [(f"train/{Path(name).stem}/{Path(image).name}", extent) for image, extent in tar_extents(path, stream)]
    except BROKEN as error:
        raise UserError(f"{path}: is not a tar of tars that can be read ({error}); get it again") from None
    return found


def _truth(place: Place) -> list[str]:
    """Classes (wnids) of the validation images, in the order of their names."""
    path = place.root / DEVKIT / "data" / TRUTH
    raw = {name: _from_devkit(place.root, name) for name in (TRUTH, META)}
    variables = read_matlab(path.with_name(META), raw[META])
    with understood(path.with_name(META), "the table of ImageNet's classes"):
        wnid_of = {int(np.squeeze(entry["ILSVRC2012_ID"])): str(np.squeeze(entry["WNID"])) for entry in np.ravel(variables["synsets"])}
    with understood(path, "the list of ImageNet's validation classes"):
        return [wnid_of[int(line)] for line in raw[TRUTH].split()]


def _from_devkit(root: Path, name: str) -> bytes:
    """A file of the devkit: at the root, below the folder that it unpacks to, or out of its archive."""
    for path in (root / name, root / "data" / name, root / DEVKIT / "data" / name):
        if path.is_file():
            return path.read_bytes()
    archive = root / f"{DEVKIT}.tar.gz"
    try:
        with tarfile.open(archive) as devkit:
            held = next((member for member in devkit if Path(member.name).name == name), None)
            stream = None if held is None else devkit.extractfile(held)
            if stream is not None:
                return stream.read()
    except FileNotFoundError:
        pass
    except BROKEN as error:
        raise UserError(f"{archive}: is not an archive that can be read ({error}); get it again") from None
    raise UserError(f"{root / name}: is missing; put {DEVKIT}.tar.gz, which holds it, beside {TRAIN}")
