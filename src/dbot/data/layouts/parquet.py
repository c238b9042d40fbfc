"""Layout `parquet`: the Hugging Face hub's shards, whose rows hold the bytes of an image and its class.

`train-00000-of-00005.parquet` or `train/0000.parquet`: the part is told by `images` of the declaration.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dbot.base.errors import UserError
from dbot.data.layouts.listing import NO_LABEL, PARTS, Listing, Part, Place, Read, Sample
from dbot.data.layouts.shards import DIGITS, ending_of, have_both, shards
from dbot.params.datasets import Dataset

LABELS = ("label", "labels", "fine_label", "cls", "class")
"""What columns of classes are called, the likeliest first."""
HELD = 4
"""Row groups whose images are kept in memory: about a hundred images each, as the hub writes them."""


class Columns(NamedTuple):
    """What a shard's columns hold."""

    image: str
    """Of structs of `bytes` and, perhaps, `path`; or of bytes."""
    is_struct: bool
    label: str
    names: list[str] | None
    """Of the classes, where the hub's own description of the columns has them."""


def needs(dataset: Dataset) -> str:
    return f"{dataset.train.images}-*.parquet and {dataset.validation.images}-*.parquet, at any depth"


def fits(root: Path, dataset: Dataset) -> bool:
    return have_both(root, dataset.train.images, dataset.validation.images, ".parquet")


def read(place: Place) -> Listing:
    """Images get the paths that they will have in the prepared copy: `<part>/<class>/<position>`, with the ending of their kind."""
    groups = _Groups()
    rows: dict[Part, list[tuple[Any, str | None, Read]]] = {part: [] for part in PARTS}
    names: list[str] | None = None
    for part in PARTS:
        for shard in shards(place, part, ".parquet"):
            path = place.root / shard
            columns = _columns(path)
            names = columns.names or names
            rows[part].extend(_rows(path, columns, groups))
    label_of, classes = _classes({label for part in PARTS for label, _, _ in rows[part]}, names, place)
    packed: dict[str, Read] = {}
    samples: dict[Part, list[Sample]] = {part: [] for part in PARTS}
    for part in PARTS:
        for label, origin, image in rows[part]:
            position = label_of[label]
            path_in_copy = f"{place.split(part).images}/{position}/{len(samples[part]):0{DIGITS}d}{ending_of(origin)}"
            samples[part].append(Sample(path_in_copy, position))
            packed[path_in_copy] = image
    return Listing(classes, samples, packed=packed)


def _classes(labels: set[Any], names: list[str] | None, place: Place) -> tuple[dict[Any, int], list[str]]:
    """By what stands in the column of classes, the label; and the names of all classes."""
    if None in labels or NO_LABEL in labels:
        raise UserError(f"{place.root}: rows have no class ({NO_LABEL} or nothing); name a part that has them, by images of {place.key()}")
    if all(isinstance(label, int) for label in labels):
        count = len(names) if names else max(labels, default=-1) + 1
        if not all(0 <= label < count for label in labels):
            raise UserError(f"{place.root}: a row's class is {max(labels)}, but the shards name {count} classes; get them again")
        return {label: label for label in labels}, names or [str(number) for number in range(count)]
    classes = sorted(map(str, labels))
    return {label: classes.index(str(label)) for label in labels}, classes


def _columns(path: Path) -> Columns:
    schema = _opened(path).schema_arrow
    features = _features(schema.metadata)
    types = {name: schema.field(name).type for name in schema.names}
    structs = [name for name, kind in types.items() if str(kind).startswith("struct") and kind.get_field_index("bytes") >= 0]
    images = structs or [name for name, kind in types.items() if str(kind) in ("binary", "large_binary")]
    declared = [name for name, feature in features.items() if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"]
    known = [name for name in LABELS if name in types]
    labels = [name for name in known if name in declared] or declared or known
    if not images or not labels:
        raise UserError(
            f"{path}: has the columns {', '.join(types)}; layout parquet needs one of images ({{bytes, path}}) "
            f"and one of classes ({LABELS[0]})"
        )
    names = features.get(labels[0], {}).get("names")
    return Columns(images[0], bool(structs), labels[0], [str(name) for name in names] if names else None)


def _features(metadata: Any) -> dict[str, Any]:
    """The hub's description of the columns, if the shard has one."""
    try:
        described = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return described if isinstance(described, dict) else {}


def _rows(path: Path, columns: Columns, groups: "_Groups") -> Iterator[tuple[Any, str | None, Read]]:
    """Of each row the class, the image's own path if there is one, and how to get its bytes."""
    file = _opened(path)
    has_path = columns.is_struct and file.schema_arrow.field(columns.image).type.get_field_index("path") >= 0
    wanted = [columns.label, *([f"{columns.image}.path"] if has_path else [])]
    for group in range(file.num_row_groups):
        try:
            table = file.read_row_group(group, columns=wanted)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: can't be read ({error}); get it again") from None
        labels = table.column(columns.label).to_pylist()
        origins = [struct["path"] for struct in table.column(columns.image).to_pylist()] if has_path else [None] * len(labels)
        for row, (label, origin) in enumerate(zip(labels, origins, strict=True)):
            yield label, origin, partial(groups.image, path, columns, group, row)


def _opened(path: Path) -> Any:
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not a parquet file that can be read ({error}); get it again") from None


class _Groups:
    """Images out of row groups, of which some are kept: images are asked for in their order, by several threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[Path, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def image(self, path: Path, columns: Columns, group: int, row: int) -> bytes:
        with self._lock:
            if (path, group) not in self._held:
                try:
                    table = _opened(path).read_row_group(group, columns=[columns.image])
                except (OSError, ValueError) as error:
                    raise UserError(f"{path}: can't be read ({error}); get it again") from None
                self._held[path, group] = table.column(columns.image)
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
            value = self._held[path, group][row].as_py()
        content = value["bytes"] if columns.is_struct and value else value
        if not isinstance(content, bytes):
            raise UserError(
                f"{path}: row {row} of group {group} holds no image, only a reference to one; get the shards with images inside"
            )
        return content
