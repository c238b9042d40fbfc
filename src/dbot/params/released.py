"""Declarations of weights that others released: where each file is, and what is in it."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from dbot.params.section import Section

Layout = Literal["dbot-asymmetric", "dbot-symmetric", "vit", "vit-classifier", "mae", "dino", "beit", "beit-classifier", "clip"]
"""How a file names its tensors. Each has a map of that name in `dbot.models.released.layouts`."""

CLASSIFIERS: tuple[Layout, ...] = ("vit-classifier", "beit-classifier")
"""Layouts of fine-tuned networks: nothing is left to train before they are measured."""

SYMMETRIC: tuple[Layout, ...] = ("dbot-symmetric", "beit", "beit-classifier")
"""Layouts of the symmetric design."""


class ReleasedFile(Section):
    """A file of weights that somebody released."""

    file: str
    """Its name, in `weights_folder` or in the cache `data/released`."""
    url: str
    """Where it was published."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    """SHA-256 of its bytes. Null: it isn't known; the receipt names the one that was found."""
    bytes: PositiveInt | None
    """Its size. Null: it isn't known."""
    layout: Layout
    """How it names its tensors."""
    row: str
    """The row of the published table that it belongs to; the network is of that row's architecture."""
    licence: str
    """Terms of use of the weights."""

    @property
    def is_classifier(self) -> bool:
        """Whether it is fine-tuned already."""
        return self.layout in CLASSIFIERS

    @property
    def is_symmetric(self) -> bool:
        """Whether it is of the symmetric design."""
        return self.layout in SYMMETRIC


class Released(Section):
    """Weights that others released; a row that says `released: <file>` starts from one instead of training."""

    weights_folder: str | None
    """A folder that holds such files, or the URL of one (a mirror). Null: they are downloaded from where they were published."""
    files: dict[str, ReleasedFile]
    """The files by name."""
