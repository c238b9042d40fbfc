"""Checking a data set before any GPU hour is spent on it, and writing its manifest."""

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from dbot.base.digest import file_digest
from dbot.base.errors import UserError
from dbot.base.files import read_file, whole_folder
from dbot.data.alike import perceptual_hash
from dbot.data.census import Census, Counted
from dbot.data.folders import SUFFIXES
from dbot.data.images import (
    JPEG_MAGIC,
    PIXELS_HEADER,
    Header,
    decode_image,
    encoded,
    image_header,
    read_label_map,
    saved_with_loss,
    shrunk,
    shrunk_pixels,
)
from dbot.data.labelmaps.values import classes_of
from dbot.data.layouts.listing import PARTS, Listing, Part, Sample, limited
from dbot.data.layouts.reader import read_listing
from dbot.data.manifest import Manifest, Row, write_manifest
from dbot.data.objects.audit import Audit, Defect, audit, skipped_annotations, usable_images
from dbot.data.oddities import settle
from dbot.params.datasets import Dataset, LabelMaps

CHUNK = 256
"""Images that are handed to the threads at once."""
NAMED = 3
"""How many unreadable images or unusable annotations an error names."""
EXAMPLES = 20
"""How many images and annotations that can't be used are said, each in a line, and how many annotations the manifest describes."""


class Prepared(NamedTuple):
    """What a data set was found to be."""

    manifest: Manifest
    census: Census


def prepare(name: str, dataset: Dataset, folder: Path, copy: Path, threads: int, progress_seconds: float) -> Manifest:
    """As `prepared`, the manifest alone."""
    return prepared(name, dataset, folder, copy, threads, progress_seconds).manifest


def prepared(name: str, dataset: Dataset, folder: Path, copy: Path, threads: int, progress_seconds: float) -> Prepared:
    """Check a data set and write its manifest; where it is asked for, or the images lie in archives, write a copy of them.

    Args:
        name: of the data set in params.yaml.
        dataset: its declaration.
        folder: gets the manifest.
        copy: folder of the prepared copy, if there is to be one.
        threads: how many read and decode.
        progress_seconds: how often a line says how far it is.

    Raises:
        UserError: data are missing or broken, or are not what params.yaml says.
    """
    layout, listing = read_listing(name, dataset)
    for line in listing.left_out:
        print(line, flush=True)
    copies = dataset.short_side is not None or bool(listing.packed)
    if dataset.short_side is not None and (listing.annotation_files or listing.label_maps):
        raise UserError(f"datasets.{name}.short_side is {dataset.short_side}: annotations would not fit shrunk images; set it to null")
    if dataset.boxes_only and not listing.annotation_files:
        raise UserError(f"datasets.{name}.masks is none, and a set of layout {layout} has no objects; remove the key, or mend the layout")
    root = Path(dataset.root or "", listing.below)
    usable, defects = dict(listing.samples), list[Defect]()
    written = {file: listing.packed[file]() for file in listing.annotation_files.values() if file in listing.packed}
    if listing.annotation_files:
        for part in PARTS:
            usable[part], found = usable_images(root, listing.annotation_files[part], part, listing.samples[part], listing.packed)
            defects += found
    counted: Counted = "pixels" if listing.label_maps else "objects" if listing.annotation_files else "images"
    census = Census(listing.classes, counted)
    meant = dict[Part, dict[str, str]]()
    work = [(part, sample) for part in PARTS for sample in limited(usable[part], dataset.limit)]
    if listing.annotation_files:
        audits = {}
        for part, file in listing.annotation_files.items():
            samples = [s for of, s in work if of == part]
            audits[part] = audit(root, file, part, samples, written.get(file), not dataset.boxes_only)
            _settle_masks(name, dataset, root / file, audits[part])
        defects += [defect for part in PARTS for defect in audits[part].defects]
        _settle(name, dataset, defects, all(found.objects for found in audits.values()))
        _say_objects(name, listing, audits)
        for part, looked_at in audits.items():
            census.add_objects(part, looked_at.by_class, looked_at.boxes)
            meant[part] = {} if looked_at.meant is None else {"meant": looked_at.meant}
    with whole_folder(copy, "PREPARED") if copies else nullcontext() as target:
        inspector = _Inspector(root, listing, dataset, target, census)
        inspected = _inspected(inspector, work, _chosen(len(work), dataset.check.decode), threads, progress_seconds)
        inspected = _hopeful(inspected, dataset.check.unreadable == "refuse")
        findings = list(inspected if target is None else _while_there_is_room(name, inspected, len(work), target))
        unreadable = [finding for finding in findings if isinstance(finding, _Unreadable)]
        rows = [finding for finding in findings if isinstance(finding, Row)]
        if unreadable and dataset.check.unreadable == "refuse":
            named = "; ".join(finding.reason for finding in unreadable[:NAMED])
            count = f"{len(unreadable)} of" if len(findings) == len(work) else f"the first {len(findings)} of"
            skip = f", or set datasets.{name}.check.unreadable: skip to leave them out" if rows else ""
            raise UserError(
                f"datasets.{name}: {count} {len(work)} images can't be used: {named}{'; …' if unreadable[NAMED:] else ''}; "
                f"restore or remove them{skip}"
            )
        odd = [finding for finding in findings if isinstance(finding, Defect)]
        defects += odd
        _settle(name, dataset, odd, bool(rows))
        for part in listing.parts:
            if not any(row.split == part for row in rows):
                raise UserError(f"datasets.{name}: no image of {part} can be used; restore them from {dataset.source}")
        if len({(row.split, row.path) for row in rows}) < len(rows):
            raise UserError(f"datasets.{name}: two images of {root} would get the same name in {copy}; rename one")
        if target is not None:
            for file in listing.annotation_files.values():
                inspector.write(target / file, written[file] if file in written else (root / file).read_bytes())
        census.add_rows(rows, dataset.check.near_duplicates)
        for line in census.lines():
            print(line, flush=True)
        settle(name, dataset, census, census.maps == len(rows) or counted != "pixels", sum(row.split == "validation" for row in rows))
    manifest = write_manifest(
        folder,
        rows,
        title=dataset.title,
        root=copy.as_posix() if copies else str(Path(str(dataset.root), listing.below)) if listing.below else str(dataset.root),
        classes=listing.classes,
        licence=dataset.licence,
        source=dataset.source,
        layout=layout,
        annotation_files={
            part: {"path": path, "sha256": file_digest((copy if copies else root) / path)} | meant.get(part, {})
            for part, path in listing.annotation_files.items()
        },
        unreadable=sorted(finding.path for finding in unreadable),
        defects=dict(sorted(Counter(defect.kind for defect in defects).items())),
        examples=[defect.text for defect in defects[:EXAMPLES]],
        skipped=skipped_annotations(defects),
        label_maps=listing.label_maps,
        upright=dataset.annotated == "upright",
        masks=not dataset.boxes_only,
    )
    return Prepared(manifest, census)


def _settle_masks(name: str, dataset: Dataset, file: Path, found: Audit) -> None:
    """Refuse a file of boxes alone unless params.yaml says so, and say that masks are passed over where it does."""
    if dataset.boxes_only and found.outlined:
        masks = f"{found.outlined} of {found.annotations} annotations have masks"
        print(f"{file}: {masks}, which are passed over, since datasets.{name}.masks is none", flush=True)
    if found.annotations and not found.outlined and not dataset.boxes_only:
        raise UserError(
            f"{file}: none of the {found.annotations} annotations has a mask, only boxes; write datasets.{name}.masks: none to train a "
            "detector of boxes alone, or get the set with polygons or run lengths for one that learns masks"
        )


def _say_objects(name: str, listing: Listing, audits: dict[Part, Audit]) -> None:
    for part, found in audits.items():
        file = listing.annotation_files[part]
        if not found.objects:
            why = f": all {found.crowds} usable annotations are crowds (iscrowd: 1), which nothing learns from" if found.crowds else ""
            raise UserError(
                f"datasets.{name}: {file} has no usable object on the images of {part}{why}; annotate some, or name another file"
            )
        print(f"{file}: {found.objects} objects, {found.crowds} crowds, {found.without} images without objects", flush=True)
        if found.specks:
            print(f"{file}: {found.specks} masks are too small to have a pixel; they count in evaluation, and are not learnt", flush=True)


def _settle(name: str, dataset: Dataset, defects: list[Defect], others: bool) -> None:
    """Refuse defects if params.yaml says so, else say what is left out; whether there are ``others`` decides what is advised."""
    if defects and dataset.check.annotations == "refuse":
        named = "; ".join(defect.text for defect in defects[:NAMED])
        skip = f", or set datasets.{name}.check.annotations: skip to leave them out" if others else ""
        raise UserError(
            f"datasets.{name}: {len(defects)} annotations or images can't be used: {named}{'; …' if defects[NAMED:] else ''}; "
            f"mend them{skip}"
        )
    for defect in defects[:EXAMPLES]:
        print(f"left out ({defect.kind}): {defect.text}", flush=True)
    if len(defects) > EXAMPLES:
        print(f"left out: {len(defects) - EXAMPLES} more; the receipt counts them", flush=True)


@dataclass(frozen=True)
class _Unreadable:
    path: str
    reason: str


@dataclass(frozen=True)
class _Inspector:
    """Looks at one image at a time; safe to call from several threads."""

    root: Path
    listing: Listing
    dataset: Dataset
    target: Path | None
    """Where the copies go; None: nothing is copied."""
    census: Census
    """Gets the pixels of the label maps, and images that are turned."""

    def __call__(self, part: Part, sample: Sample, decode: bool) -> Row | _Unreadable | Defect:
        try:
            return self._look(part, sample, decode)
        except UserError as error:
            return _Unreadable(sample.path, error.problems[0])

    def _look(self, part: Part, sample: Sample, decode: bool) -> Row | Defect:
        path = self.root / sample.path
        content = self._content(path, sample)
        hashed = self.dataset.check.near_duplicates is not None
        look = decode or hashed or self.dataset.short_side is not None or not content
        pixels = decode_image(content, path, self._upright) if look else None
        header = image_header(content, path) if sample.annotation else None
        if header is not None and header.orientation != 1 and header.upright == header.stored and self._upright:
            self.census.add_turned(str(path), header.orientation)
        if sample.size is not None and header is not None:
            size = self._size(header)
            if size != sample.size:
                stated = f"image {sample.annotation} of {self.listing.annotation_files[part]} says {sample.size}"
                reason = f"{path}: is {size} pixels (height, width), {stated}{self._turn(header, sample.size)}"
                return Defect("image of another size", part, reason)
        name = sample.path
        annotation_digest = ""
        if self.listing.label_maps is not None:
            annotation_digest = self._label_map(part, sample, self.listing.label_maps, header if decode else None)
        if self.target is not None:
            if self.dataset.short_side is not None and pixels is not None:
                content = self._shrunk(content, pixels, self.dataset.short_side)
            if self.dataset.short_side is not None or not name.lower().endswith(SUFFIXES):
                name = _copy_name(name, content)
            self.write(self.target / name, content)
        if hashed and pixels is not None:
            self.census.add_hash(part, name, perceptual_hash(pixels.permute(1, 2, 0).numpy()))
        return Row(part, name, sample.label, len(content), hashlib.sha256(content).hexdigest(), sample.annotation, annotation_digest)

    def _shrunk(self, content: bytes, pixels: Tensor, short_side: int) -> bytes:
        if self.dataset.copies == "pixels":
            return shrunk_pixels(pixels, short_side)
        return shrunk(content, pixels, short_side, self.dataset.jpeg)

    def _content(self, path: Path, sample: Sample) -> bytes:
        if sample.path in self.listing.packed:
            packed = self.listing.packed[sample.path]
            if callable(packed):
                return bytes(packed())
            return encoded(Image.fromarray(np.ascontiguousarray(packed)), "PNG", compress_level=1)
        try:
            return read_file(path)
        except OSError as error:
            raise UserError(f"{path}: can't be read ({error.strerror})") from None

    def _label_map(self, part: Part, sample: Sample, said: LabelMaps, header: Header | None) -> str:
        """The digest of the image's label map, which is checked and counted if the image's header is given."""
        path, packed = self.root / sample.annotation, self.listing.packed.get(sample.annotation)
        try:
            content = bytes(read_file(path) if packed is None else packed())
        except FileNotFoundError:
            raise UserError(f"{path}: is missing; every image needs a label map of its name") from None
        except OSError as error:
            raise UserError(f"{path}: can't be read ({error.strerror}); every image needs a label map of its name") from None
        if content.startswith(JPEG_MAGIC):
            raise UserError(saved_with_loss(path))
        if header is not None:
            values, size = read_label_map(path, content), self._size(header)
            if values.shape != size:
                shape = tuple(values.shape)
                raise UserError(f"{path}: has {shape} pixels, its image {size}{self._turn(header, shape)}")
            self.census.add_map(part, classes_of(values, said, len(self.listing.classes), path))
        if self.target is not None:
            self.write(self.target / sample.annotation, content)
        return hashlib.sha256(content).hexdigest()

    @property
    def _upright(self) -> bool:
        return self.dataset.annotated == "upright"

    def _size(self, header: Header) -> tuple[int, int]:
        return header.upright if self._upright else header.stored

    def _turn(self, header: Header, annotated: tuple[int, ...]) -> str:
        """What to say of an image's orientation where its size is not that of its annotation."""
        if header.orientation == 1:
            return ""
        if annotated != (header.stored if self._upright else header.upright):
            return f" (EXIF orientation {header.orientation})"
        before, other = ("before", "stored") if self._upright else ("after", "upright")
        turn = f"that is its size {before} EXIF orientation {header.orientation} turns it"
        return f": {turn}; if its annotations are of those pixels, say `annotated: {other}` of the data set"

    @staticmethod
    def write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _hopeful(findings: Iterator[Row | _Unreadable | Defect], refuse: bool) -> Iterator[Row | _Unreadable | Defect]:
    """The findings, of which some of those that can't be used are said; no more of them if all of the first ones are such that refuse."""
    unreadable = 0
    for number, finding in enumerate(findings, 1):
        if isinstance(finding, _Unreadable):
            unreadable += 1
            if unreadable <= EXAMPLES:
                print(f"not usable: {finding.reason}", flush=True)
            elif unreadable == EXAMPLES + 1:
                print("not usable: … and more", flush=True)
        yield finding
        if refuse and number == unreadable == CHUNK:
            return


def _while_there_is_room(
    name: str, findings: Iterator[Row | _Unreadable | Defect], count: int, target: Path
) -> Iterator[Row | _Unreadable | Defect]:
    """The findings, unless a copy of ``count`` images as large as the first ones will be too large for its disk.

    Raises:
        UserError: soon, instead of hours later when the disk is full.
    """
    written = 0
    for number, finding in enumerate(findings, 1):
        written += finding.bytes if isinstance(finding, Row) else 0
        if number == CHUNK:
            left, free = written / number * (count - number), shutil.disk_usage(target).free
            if left > free:
                raise UserError(
                    f"datasets.{name}: its copy will take {left / 1e9:.1f} GB more, and {target.parent} has {free / 1e9:.1f} GB left; "
                    f"free some, or have smaller copies by datasets.{name}.short_side or .copies"
                )
        yield finding


def _copy_name(name: str, content: bytes) -> str:
    """The name of a copy: its own, with the ending of what it now holds added if it has another."""
    endings = (".jpg", ".jpeg") if content.startswith(JPEG_MAGIC) else (".ppm",) if PIXELS_HEADER.match(content) else (".png",)
    return name if name.lower().endswith(endings) else name + endings[0]


def _chosen(count: int, decode: int | str) -> list[bool]:
    """Which images are decoded."""
    if isinstance(decode, str):
        return [decode == "all"] * count
    chosen = np.zeros(count, dtype=np.bool_)
    chosen[np.random.default_rng(0).permutation(count)[:decode]] = True
    return chosen.tolist()


def _inspected(
    inspector: _Inspector, work: list[tuple[Part, Sample]], decode: list[bool], threads: int, progress_seconds: float
) -> Iterator[Row | _Unreadable | Defect]:
    """Findings in the order of the work, with a line now and then on how far it is."""
    started = last = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        for begin in range(0, len(work), CHUNK):
            chunk = work[begin : begin + CHUNK]
            parts, samples = zip(*chunk, strict=True)
            yield from pool.map(inspector, parts, samples, decode[begin : begin + CHUNK])
            now, done = time.monotonic(), begin + len(chunk)
            if now - last >= progress_seconds or done == len(work):
                last = now
                rate = done / max(now - started, 1e-9)
                print(f"checked {done} of {len(work)} images, {rate:.0f}/s, {(len(work) - done) / rate:.0f} s left", flush=True)
