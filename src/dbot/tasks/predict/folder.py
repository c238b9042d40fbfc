"""The images of a folder one by one, and where what is found on them goes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from dbot.base.errors import UserError
from dbot.data.folders import images_below
from dbot.data.images import read_ahead, read_image
from dbot.tasks.features import Pace

SIDE = 1024
"""Pictures of what is found fit into a square of this side, in pixels."""
AT_ONCE = 8
"""Images that are decoded while those before are looked at."""


@dataclass
class ImageFolder:
    """The images in a folder and below it, in the order of their names.

    Raises:
        UserError: it is no folder, holds none, or two whose names differ in their ending alone.
    """

    folder: Path
    progress_seconds: float
    """How often a line says how far it is."""
    unreadable: list[str] = field(default_factory=list)
    """A line for each image that doesn't decode, once it was come to."""

    def __post_init__(self) -> None:
        self.names = images_below(self.folder)
        of_stem: dict[str, str] = {}
        for name in self.names:
            other = of_stem.setdefault(placed(name, ""), name)
            if other != name:
                raise UserError(f"{self.folder}: what is found on {other} and on {name} would get one name; rename one of them")

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Names relative to the folder, and uint8 images (3, H, W).

        Raises:
            UserError: at the end, if none could be decoded.
        """
        pace = Pace(len(self.names), self.progress_seconds, "looked at")
        batches = [self.names[start : start + AT_ONCE] for start in range(0, len(self.names), AT_ONCE)]
        done = 0
        for names, images in zip(batches, read_ahead(self._read, batches), strict=True):
            for name, image in zip(names, images, strict=True):
                if isinstance(image, Tensor):
                    yield name, image
                else:
                    self.unreadable.append(str(image))
                done += 1
                pace.show(done)
        if len(self.unreadable) == len(self.names):
            raise UserError(f"{self.folder}: none of its {len(self.names)} images can be decoded; the first: {self.unreadable[0]}")

    def _read(self, name: str) -> Tensor | UserError:
        try:
            return read_image(self.folder / name)
        except UserError as error:
            return error


def placed(name: str, ending: str) -> str:
    """An image's name with another ending."""
    return Path(name).with_suffix(ending).as_posix()


def write(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
