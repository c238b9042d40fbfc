"""Images a second on one core: our loader from full-size JPEGs and from prepared copies, and the published pipeline, in turns."""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import pages
from benchmarks.sides import Numbers, in_turns, median, ratio, started
from dbot.params.load import DEFAULT_FILE, load

CROP = 224
BATCH = 50
"""Images that are collated to a batch."""


def main() -> None:
    parser = pages.parser("loader", __doc__)
    parser.add_argument("--images", type=Path, metavar="FOLDER", required=True, help="a folder of JPEG photographs, at any depth")
    parser.add_argument("--count", type=int, default=200, help="images of it in a measurement (default: 200)")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count, average = _image_folder(args, folder / "photographs")
        kinds: dict[str, dict[str, Any]] = {
            "ours, full size": {},
            "ours, prepared": {"short_side": 256},
            "ours, prepared as pixels": {"short_side": 256, "copies": "pixels"},
        }
        sides: dict[str, tuple[str, dict[str, Any]]] = {
            "published": ("benchmarks.loader.published_loader", {"root": folder / "photographs" / "train"})
        }
        sizes = {"published": average, "ours, full size": average}
        for side, settings in kinds.items():
            prepared = folder / side
            sizes[side] = _prepare(folder / "photographs", prepared, **settings)
            sides[side] = ("benchmarks.loader.our_loader", {"prepared": prepared})
        with started(sides) as running:
            found = in_turns(running, args.rounds)

    rows = []
    for side, numbers in found.items():
        speed = median(numbers, "images_per_second")
        gained = ["1", ""]
        if side != "published":
            middle, least, most = ratio(numbers, found["published"], "images_per_second")
            gained = [f"{middle:.2f}", f"{least:.2f} to {most:.2f}"]
        rows.append([side, f"{sizes[side] / 1e3:.0f}", f"{speed:.0f}", f"{1e3 / speed:.2f}", *gained])
    header = ["pipeline", "KB a file", "images/s a core", "ms an image", "over published", "range"]
    notes = (
        f"Medians of {args.rounds} rounds over {count} photographs, one thread, files in the page cache, collated to batches of {BATCH}; "
        "the sides take turns, each in a process of its own. Published: Pillow, RandomResizedCrop (bicubic), flip, ToTensor, Normalize. "
        f"Ours ends in uint8 pixels; statistics are applied to whole batches in the step. Crops of {CROP} px. Prepared: "
        "`short_side: 256`; as pixels: `copies: pixels` besides. All are read by the same code."
    )
    pages.write(args.output, "Loading", [pages.table(header, rows), notes])


def _image_folder(args: argparse.Namespace, root: Path) -> tuple[int, float]:
    """Photographs as a data set of one class; how many, and their mean size in bytes."""
    found = sorted(path for path in args.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[: args.count]
    if not found:
        raise SystemExit(f"--images {args.images}: holds no .jpg or .jpeg files; name a folder of photographs")
    for part in ("train", "val"):
        place = root / part / "photograph"
        place.mkdir(parents=True)
        for number, path in enumerate(found if part == "train" else found[:1]):
            shutil.copy(path, place / f"{number:06d}.jpg")
    return len(found), sum(path.stat().st_size for path in found) / len(found)


def _prepare(root: Path, prepared: Path, **settings: Any) -> float:
    """Prepare the data set as `dbot prepare` does; the mean size of what is read, in bytes."""
    from dbot.data.manifest import read_manifest
    from dbot.data.prepare import prepare
    from dbot.params.datasets import Check, Dataset, Split

    parts = {"train": Split(images="train"), "validation": Split(images="val")}
    about = {"title": "photographs", "licence": "that of the folder", "source": "the folder that was named", "classes": None}
    check = Check(decode="none", unreadable="skip")
    dataset = Dataset(layouts=["imagefolder"], root=str(root), check=check, **parts, **about, **settings)
    prepare("photographs", dataset, prepared, prepared / "copy", threads=2, progress_seconds=1e9)
    return float(read_manifest(prepared).samples("train").bytes.mean())


def our_loader(prepared: Path) -> Any:
    """A measurement of the images that distillation is trained on, read anew each time, however few they are."""
    from dbot.data import labelled
    from dbot.data.manifest import read_manifest
    from dbot.data.transforms import pretrain_transform

    torch.set_num_threads(1)
    labelled.FITS_IN_MEMORY = 0
    recipe = load(DEFAULT_FILE, "paper").params.recipes.pretrain["asymmetric"]
    images = labelled.TrainingImages(read_manifest(prepared), pretrain_transform(recipe.augmentation, CROP), seed=0)
    epochs = iter(range(1_000_000))

    def measure() -> Numbers:
        epoch = next(epochs)
        return _timed(len(images), lambda numbers: labelled.together([images[epoch, number] for number in numbers]))

    return measure


def published_loader(root: Path) -> Any:
    """A measurement of the published pipeline, of the same parts of torchvision in the same order."""
    from torch.utils.data import default_collate
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(1)
    steps = [
        transforms.RandomResizedCrop(CROP, scale=(0.2, 1.0), interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
    images = ImageFolder(root, transform=transforms.Compose(steps))
    return lambda: _timed(len(images), lambda numbers: default_collate([images[number] for number in numbers]))


def _timed(count: int, read: Any) -> Numbers:
    begun = time.perf_counter()
    for start in range(0, count, BATCH):
        read(range(start, min(start + BATCH, count)))
    return {"images_per_second": count / (time.perf_counter() - begun)}


if __name__ == "__main__":
    main()
