"""The manifest: what a data set consists of, image by image, written by `dbot prepare` and read by all else.

`manifest.json` describes the set, `samples.tsv` has a line for each image. Neither holds a time
or the name of a machine, so the same data give the same bytes.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dbot.base.digest import canonical
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.data.layouts.listing import PARTS, Part
from dbot.params.datasets import LabelMaps

MANIFEST = "manifest.json"
SAMPLES = "samples.tsv"


class Row(NamedTuple):
    """A line of `samples.tsv`."""

    split: Part
    path: str
    """Relative to the manifest's root."""
    label: int
    """-1: the image has no class."""
    bytes: int
    digest: str
    """SHA-256 of the image file."""
    annotation: str
    """Label map, relative to the root, or COCO's image id, or nothing."""
    annotation_digest: str
    """SHA-256 of the label map, or nothing."""


@dataclass(frozen=True)
class Samples:
    """The images of one part, in the manifest's order. Arrays, so that loader processes share their memory."""

    paths: npt.NDArray[Any]
    """Of strings (`numpy.dtypes.StringDType`), relative to the manifest's root."""
    labels: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]
    """Sizes of the image files."""
    annotations: npt.NDArray[Any]
    """Of strings: label maps relative to the root, or COCO's image ids, or empty."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Manifest:
    """A data set that was checked."""

    title: str
    root: Path
    """The folder that paths are relative to; itself as params.yaml has it, or the prepared copy."""
    classes: list[str]
    licence: str
    source: str
    layout: str
    digest: str
    """SHA-256 of the content: paths, labels, bytes of images and annotations, names of classes; not of the root."""
    counts: dict[str, int]
    """Images by part."""
    annotation_files: dict[str, dict[str, str]]
    """By part, `path` (relative to the root) and `sha256` of a COCO file."""
    unreadable: list[str]
    """Images that were left out."""
    folder: Path
    """Where `samples.tsv` lies."""
    defects: dict[str, int] = field(default_factory=dict)
    """By kind, how many annotations can't be used, and images whose annotations can't."""
    examples: list[str] = field(default_factory=list)
    """Some of the defects in words."""
    skipped: dict[str, list[int]] = field(default_factory=dict)
    """By part, the annotations that were left out: their places, from 0 on, in the list of the COCO file."""
    label_maps: LabelMaps | None = None
    """What the pixels of label maps stand for; None: the images have none."""
    upright: bool = True
    """Whether images are read as their EXIF orientation turns them; False: as they are stored."""
    masks: bool = True
    """Whether the objects of its annotation files have masks; False: boxes are all there is of them."""

    def samples(self, split: str) -> Samples:
        """The images of `train` or `validation`.

        Raises:
            UserError: `samples.tsv` is missing or is not what `dbot prepare` wrote.
        """
        rows = self.rows(split)
        text = np.dtypes.StringDType()
        return Samples(
            paths=np.array([row.path for row in rows], dtype=text),
            labels=np.array([row.label for row in rows], dtype=np.int64),
            bytes=np.array([row.bytes for row in rows], dtype=np.int64),
            annotations=np.array([row.annotation for row in rows], dtype=text),
        )

    def require_labels(self, job: str) -> None:
        """Refuse images without classes.

        Args:
            job: what needs them, in words.

        Raises:
            UserError: they have none.
        """
        if not self.classes:
            raise UserError(
                f"{job} needs the classes of its images, and {self.title!r} has none (layout {self.layout}): "
                "name a labelled set of params.yaml under uses.cls or transfer.sets, and keep this one for uses.pretrain"
            )

    def rows(self, *splits: str) -> list[Row]:
        """The lines of `samples.tsv` about some parts, in its order.

        Raises:
            UserError: the file is missing or is not what `dbot prepare` wrote.
        """
        path = self.folder / SAMPLES
        # Split at line feeds only: names may hold other characters that Python takes for line ends.
        header, *lines = _read(path).decode().rstrip("\n").split("\n")
        wanted = [line.split("\t") for line in lines if line.split("\t", 1)[0] in splits]
        if (
            header.split("\t") != list(Row._fields)
            or len(wanted) != sum(self.counts.get(split, -1) for split in splits)
            or any(len(row) != len(Row._fields) for row in wanted)
        ):
            raise UserError(f"{path}: is not the table that {self.folder / MANIFEST} describes; delete both and run `dbot prepare` again")
        return [Row(split, image, int(label), int(size), *rest) for split, image, label, size, *rest in wanted]  # type: ignore[arg-type]


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest that lies in a folder.

    Raises:
        UserError: it is missing or is no manifest.
    """
    path = folder / MANIFEST
    try:
        stored = json.loads(_read(path))
        maps = {"label_maps": LabelMaps.model_validate(stored["label_maps"])} if "label_maps" in stored else {}
        return Manifest(**{**stored, **maps, "root": Path(stored["root"]), "folder": folder})
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path}: is not a manifest; delete it and run `dbot prepare` again") from None


def write_manifest(
    folder: Path,
    rows: list[Row],
    *,
    title: str,
    root: str,
    classes: list[str],
    licence: str,
    source: str,
    layout: str,
    annotation_files: dict[str, dict[str, str]],
    unreadable: list[str],
    defects: dict[str, int] | None = None,
    examples: list[str] | None = None,
    skipped: dict[str, list[int]] | None = None,
    label_maps: LabelMaps | None = None,
    upright: bool = True,
    masks: bool = True,
) -> Manifest:
    """Write `manifest.json` and `samples.tsv`, the table first, each whole or not at all."""
    skipped = skipped or {}
    annotations = {part: file.get("meant", file["sha256"]) for part, file in annotation_files.items()}
    left_out = {f"{part} without": ",".join(map(str, places)) for part, places in skipped.items()}
    manifest = Manifest(
        title=title,
        root=Path(root),
        classes=classes,
        licence=licence,
        source=source,
        layout=layout,
        digest=content_digest(rows, classes, annotations | left_out, label_maps, upright, masks),
        counts={part: sum(row.split == part for row in rows) for part in PARTS},
        annotation_files=annotation_files,
        unreadable=unreadable,
        folder=folder,
        defects=defects or {},
        examples=examples or [],
        skipped=skipped,
        label_maps=label_maps,
        upright=upright,
        masks=masks,
    )
    table = "".join("\t".join(map(str, row)) + "\n" for row in [Row._fields, *rows])
    write_whole(folder / SAMPLES, table.encode())
    stored = {**asdict(manifest), "root": root}
    del stored["folder"], stored["label_maps"], stored["upright"], stored["masks"]
    said = _where_said(label_maps, upright, masks)
    write_whole(folder / MANIFEST, (json.dumps({**stored, **said}, indent=1, ensure_ascii=False) + "\n").encode())
    return manifest


def content_digest(
    rows: Iterable[Row],
    classes: list[str],
    annotation_files: dict[str, str],
    label_maps: LabelMaps | None = None,
    upright: bool = True,
    masks: bool = True,
) -> str:
    """SHA-256 of a data set's content, whatever the order of the rows."""
    said = _where_said(label_maps, upright, masks)
    digest = hashlib.sha256(canonical({"classes": classes, "annotation_files": annotation_files, **said}))
    for row in sorted(rows):
        digest.update(b"\n" + "\t".join((row.split, row.path, str(row.label), row.digest, row.annotation, row.annotation_digest)).encode())
    return digest.hexdigest()


def _where_said(label_maps: LabelMaps | None, upright: bool, masks: bool) -> dict[str, Any]:
    """What is not as usual; all else says nothing, as before there were these keys."""
    maps = {} if label_maps is None else {"label_maps": label_maps.model_dump()}
    return {**maps, **({} if upright else {"upright": False}), **({} if masks else {"masks": False})}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); run `dbot prepare` for this data set") from None
