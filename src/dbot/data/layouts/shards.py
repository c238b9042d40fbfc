"""Shards: many files that hold the images of a part together, told by their names."""

import os
import re
from pathlib import Path

from dbot.base.errors import UserError
from dbot.data.folders import SUFFIXES, is_passed_over
from dbot.data.layouts.files import MOST_FOLDERS
from dbot.data.layouts.listing import Part, Place

OTHER_NAMES = ("val", "validation", "valid", "dev")
"""What the part for validation goes by; a declaration may say any of them."""
DEEP = 4
"""Levels at which shards are looked for, the root included."""
DIGITS = 7
"""Of a running number in a name, so that names sort as the images lie."""


def shard_names(root: Path, ending: str) -> list[str]:
    """Files with an ending some levels below a root, sorted by their paths from there; folders of classes are not looked into.

    A folder that several links lead to is read once.

    Raises:
        UserError: a folder can't be read.
    """
    found, level, read = [], [""], {os.path.realpath(root)}
    for _ in range(DEEP):
        entries = [(f"{here}{entry.name}", entry) for here in level for entry in _entries(root / here)]
        found += [name for name, entry in entries if name.lower().endswith(ending) and entry.is_file()]
        below = [f"{name}/" for name, entry in entries if entry.is_dir()]
        reals = {os.path.realpath(root / name): name for name in reversed(below)} if len(below) <= MOST_FOLDERS else {}
        level = sorted(name for real, name in reals.items() if real not in read)
        read |= set(reals)
    return sorted(found)


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        return [entry for entry in os.scandir(folder) if not is_passed_over(entry.name)]
    except OSError as error:
        raise UserError(f"{folder}: can't be read ({error.strerror}); mend its rights, or take it out") from None


def names_of(subset: str) -> list[str]:
    """What the folder or the shards of a part may be called: as it is declared, else as others call it."""
    return [subset, *(name for name in OTHER_NAMES if subset in OTHER_NAMES and name != subset)]


def shards_of(names: list[str], subset: str) -> list[str]:
    """The shards of a subset: its name is a folder on their way, or a word of the name of the file."""
    wanted = {name.lower() for name in names_of(subset)}
    return [name for name in names if wanted & _words(name)]


def _words(name: str) -> set[str]:
    return set(re.split(r"[-_./]", name.lower())) | {part.lower() for part in Path(name).parts[:-1]}


def shards(place: Place, part: Part, ending: str) -> list[str]:
    """The shards of a part below the root, sorted.

    Raises:
        UserError: there are none.
    """
    names, subset = shard_names(place.root, ending), place.split(part).images
    found = shards_of(names, subset)
    if not found:
        raise UserError(
            f"{place.root}: no {ending} file is called by {subset!r}, as {place.key(part, 'images')} says, but there is {names[0]}; "
            f"mend the key"
        )
    return found


def have_both(root: Path, train: str, validation: str, ending: str) -> bool:
    """Whether there are shards of both parts."""
    names = shard_names(root, ending)
    return bool(shards_of(names, train) and shards_of(names, validation))


def ending_of(path: str | None) -> str:
    """The ending of an image's name, if it has one that images have."""
    ending = Path(path or "").suffix
    return ending if ending.lower() in SUFFIXES else ""
