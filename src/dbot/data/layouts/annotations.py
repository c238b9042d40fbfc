"""Reading the annotation files of the published sets: JSON and MATLAB, with errors that name the file."""

import io
import json
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from dbot.base.errors import UserError
from dbot.data.folders import plain
from dbot.data.layouts.files import Files

WHOLE = re.compile(r"\s*[+-]?[0-9]{1,30}(\.0*)?\s*")
"""A whole number in quotes."""
LARGEST = 2**63
"""From here on a number doesn't fit into the 64 bits in which arrays and COCO's scoring keep ids."""

MATLAB_BROKEN = (
    *(OSError, ValueError, TypeError, NotImplementedError, EOFError, LookupError, ArithmeticError, AttributeError),
    *(MemoryError, struct.error, zlib.error),
)
"""What scipy raises for damaged files, depending on what is damaged, besides its own errors."""


@contextmanager
def understood(path: Path, what: str) -> Iterator[None]:
    """Turn a surprise in an annotation file's content into an error that names the file."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path}: is not {what} ({reason}); restore it from the source of the data set") from None


def read_json(path: Path, sections: Iterable[str], raw: bytes | None = None) -> dict[str, list[dict[str, Any]]]:
    """The named lists of a JSON annotation file; with ``raw``, its bytes, the path is only for messages.

    Raises:
        UserError: the file is missing, is no JSON, or a list is missing.
    """
    try:
        content = json.loads(path.read_bytes() if raw is None else raw)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); get it from the source of the data set") from None
    except ValueError as error:
        raise UserError(f"{path}: is not JSON, or not all of it ({error}); restore it from the source of the data set") from None
    for section in sections:
        if not isinstance(content, dict) or not isinstance(content.get(section), list):
            raise UserError(f"{path}: has no list {section!r}; restore it from the source of the data set")
    return dict(content)


def read_coco(path: Path, raw: bytes | None = None) -> dict[str, list[dict[str, Any]]]:
    """The images, annotations and categories of a COCO file, ids and sizes as whole numbers though written in quotes or as floats.

    With ``raw``, its bytes, the path is only for messages. What is no whole number stays as it is, for the audit to
    find: `by_id` refuses ids of images and categories.

    Raises:
        UserError: as `read_json`, or an entry of a list is no mapping.
    """
    return read_spelled_coco(path, raw)[0]


def read_spelled_coco(path: Path, raw: bytes | None = None) -> tuple[dict[str, list[dict[str, Any]]], bool]:
    """As `read_coco`, and whether numbers were written otherwise than as whole numbers."""
    content, otherwise = read_json(path, ("images", "annotations", "categories"), raw), False
    numbers = {"images": ("id", "height", "width"), "annotations": ("image_id", "category_id", "iscrowd"), "categories": ("id",)}
    with understood(path, "a COCO annotation file"):
        for section, keys in numbers.items():
            for entry in content[section]:
                for key in keys:
                    if type(entry.get(key)) is not int:
                        with suppress(ValueError):
                            entry[key] = whole(entry.get(key))
                            otherwise = True
    return content, otherwise


def whole(value: Any) -> int:
    """A whole number that an annotation file may also have written in quotes or as a float.

    Raises:
        ValueError: it is none, or one that 64 bits don't hold; says so.
    """
    if isinstance(value, str) and WHOLE.fullmatch(value):
        value = int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        raise ValueError(f"ids are text, such as {value[:40]!r}, where whole numbers must stand; number them")
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"there is {str(value)[:40]} where a whole number must stand")
    if not -LARGEST <= value < LARGEST:
        raise ValueError(f"the id {value} is larger than 64 bits hold; number them anew")
    return value


def read_matlab(path: Path, raw: bytes | None = None) -> Mapping[str, Any]:
    """The variables of a MATLAB file; with ``raw``, its bytes, the path is only for messages.

    Raises:
        UserError: the file is missing, or is no MATLAB file.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        with path.open("rb") if raw is None else io.BytesIO(raw) as stream:
            begins = stream.read(64).lstrip()
        if begins.startswith(b"<"):
            raise UserError(f"{path}: is a web page, not a MATLAB file; get the file itself from the source of the data set")
        variables: Mapping[str, Any] = loadmat(path if raw is None else io.BytesIO(raw), squeeze_me=True)
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; get it from the source of the data set") from None
    except (MatReadError, *MATLAB_BROKEN) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: is not a MATLAB file that can be read ({reason}); restore it from the source of the data set") from None
    return variables


def by_id(entries: list[dict[str, Any]], what: str, path: Path) -> dict[int, dict[str, Any]]:
    """Entries by their id, in the order of the ids.

    Raises:
        UserError: two entries share an id.
    """
    with understood(path, f"a list of {what} with ids"):
        numbers = [whole(entry["id"]) for entry in entries]
    found = dict(sorted(zip(numbers, entries, strict=True), key=lambda one: one[0]))
    if len(found) != len(entries):
        twice = next(number for number, times in Counter(numbers).items() if times > 1)
        raise UserError(f"{path}: two {what} share an id ({twice}); restore it from the source of the data set")
    return found


def require_some_images(images: Iterable[Mapping[str, Any]], files: Files, folder: str, path: Path, key: str) -> None:
    """Refuse an annotation file none of whose images is there, and say where they seem to lie.

    Args:
        images: each with its `file_name`.
        files: where they are looked for.
        folder: below which they shall lie.
        path: the annotation file, for the message.
        key: that names the folder.

    Raises:
        UserError: none is there.
    """
    with understood(path, "a list of images with file names"):
        names = [str(image["file_name"]) for image in images]
    prefix = "" if folder == "." else f"{folder}/"
    if not names or any(files.has(f"{prefix}{name}") for name in names):
        return
    first, parts = names[0], PurePosixPath(names[0].replace("\\", "/")).parts
    below = next((end for start in range(len(parts)) if files.has(prefix + (end := "/".join(parts[start:])))), None)
    if not first.startswith("/") and files.has(first):
        remedy = f"{files.root / first} is there, so they are named from the root on: write {key}: ."
    elif below is not None:
        remedy = f"{files.root / prefix / below} is there: write their names from {folder}/ on, with /, as {below}"
    elif (near := _alike(files.root / prefix / first)) is not None:
        remedy = f"{near} is there, which differs in capitals or in how Unicode writes its letters: rename one of the two"
    else:
        remedy = f"get the images, or mend {key}"
    raise UserError(f"{path}: none of the {len(names)} images that it names is below {files.root / folder}, such as {first}; {remedy}")


def _alike(path: Path) -> Path | None:
    """A file on disk whose name looks the same, or nearly so."""
    if not path.parent.is_dir():
        return None
    return next((other for other in path.parent.iterdir() if plain(other.name) == plain(path.name)), None)


def require_own_files(images: Mapping[int, Mapping[str, Any]], path: Path) -> None:
    """Refuse two images of one file.

    Args:
        images: by id, each with its `file_name`.
        path: the annotation file, for the message.

    Raises:
        UserError: names both.
    """
    owner: dict[str, int] = {}
    with understood(path, "a list of images with file names"):
        for number, image in images.items():
            first = owner.setdefault(normpath(str(image["file_name"])), number)
            if first != number:
                raise UserError(f"{path}: images {first} and {number} both name {image['file_name']}; join their annotations, or drop one")
