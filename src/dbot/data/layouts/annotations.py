"""Reading the annotation files of the published sets: JSON and MATLAB, with errors that name the file."""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbot.base.errors import UserError


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


def read_matlab(path: Path, raw: bytes | None = None) -> Mapping[str, Any]:
    """The variables of a MATLAB file; with ``raw``, its bytes, the path is only for messages.

    Raises:
        UserError: the file is missing, or is no MATLAB file.
    """
    from scipy.io import loadmat

    try:
        variables: Mapping[str, Any] = loadmat(path if raw is None else io.BytesIO(raw), squeeze_me=True)
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; get it from the source of the data set") from None
    except (OSError, ValueError, TypeError, NotImplementedError, EOFError) as error:
        raise UserError(f"{path}: is not a MATLAB file that can be read ({error}); restore it from the source of the data set") from None
    return variables


def by_id(entries: list[dict[str, Any]], what: str, path: Path) -> dict[int, dict[str, Any]]:
    """Entries by their id, in the order of the ids.

    Raises:
        UserError: two entries share an id.
    """
    with understood(path, f"a list of {what} with ids"):
        found = {int(entry["id"]): entry for entry in sorted(entries, key=lambda entry: int(entry["id"]))}
    if len(found) != len(entries):
        twice = next(number for number, times in Counter(int(entry["id"]) for entry in entries).items() if times > 1)
        raise UserError(f"{path}: two {what} share an id ({twice}); restore it from the source of the data set")
    return found
