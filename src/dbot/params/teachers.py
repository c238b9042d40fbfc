"""Declarations of networks that a row starts from: teachers, plain Vision Transformers, and weights that others released."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from dbot.params.section import FilledPath, Section


class Architecture(Section):
    """A plain ViT (pre-norm blocks, LayerNorm eps 1e-6, qkv bias, class token first)."""

    title: str
    """Name as the table shows it."""
    image_size: PositiveInt
    """Side of the images in pre-training, in pixels."""
    patch_size: PositiveInt
    """Side of a patch, in pixels; it must divide the image size."""
    width: PositiveInt
    """Embedding dimension; it must be a multiple of four times one (sin-cos positions) and of the heads."""
    depth: PositiveInt
    """Number of blocks."""
    heads: PositiveInt
    """Attention heads per block."""
    mlp_ratio: PositiveFloat
    """Hidden width of a block's MLP over the embedding dimension."""

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size


Layout = Literal[
    "dbot-asymmetric", "dbot-symmetric", "vit", "vit-classifier", "mae", "dino", "dinov2", "beit", "beit-classifier", "clip", "vit-clip"
]
"""How a file names its tensors. Each has a map of that name in `dbot.models.released.layouts`."""

CLASSIFIERS: tuple[Layout, ...] = ("vit-classifier", "beit-classifier")
"""Layouts of fine-tuned networks: nothing is left to train before they are measured."""

SYMMETRIC: tuple[Layout, ...] = ("dbot-symmetric", "beit", "beit-classifier")
"""Layouts of the symmetric design."""

ONLY_TEACHERS: tuple[Layout, ...] = ("clip", "vit-clip", "dinov2")
"""Layouts of networks that have what no student has: a norm before the blocks, layer scale, registers."""

Pixel = Annotated[list[float], Field(min_length=3, max_length=3)]
Activation = Literal["gelu", "quickgelu"]


class ReleasedFile(Section):
    """A file of weights that somebody released."""

    file: str
    """Its name, in `weights_folder` or in the cache `data/released`."""
    url: str
    """Where it was published."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    """SHA-256 of its bytes. Null: it isn't known; the first use notes the one that was found, and later ones hold to it."""
    bytes: PositiveInt | None
    """Its size. Null: it isn't known, and is noted at the first use."""
    layout: Layout
    """How it names its tensors."""
    entry: str | None = None
    """The dotted key in it below which the weights are: `state_dict_ema`. Null: usual ones are tried; it is said which was taken."""
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

    weights_folder: FilledPath | None
    """A folder that holds such files, or the URL of one (a mirror). Null: they are downloaded from where they were published."""
    download: bool = True
    """Whether what is neither in that folder nor in the cache is downloaded. False: that is an error."""
    files: dict[str, ReleasedFile]
    """The files by name."""


PLAIN = re.compile(r"(vit|deit3?|beit(v2)?)_(?!.*(dinov3|lingbot|mci|relpos|resnet|rope|sapiens|(?<![a-z])(pe|r\d*)_))")
"""Names of timm that are plain ViTs, in which attention can be looked at layer by layer; asking timm itself would mean importing it."""


class RandomTeacher(Section):
    """A network that was never trained, of the student's architecture."""

    kind: Literal["random"]
    weights: Literal["student", "own"]
    """`student`: a frozen copy of the student's own initial weights, as the published code does. `own`: another draw."""
    depth: NonNegativeInt | None
    """Blocks that are kept. Null: all. 0: patch embedding and positions only, as published for L and H."""
    data: str
    """What data it saw."""
    licence: str
    """Terms of use of its weights."""
    note: str | None = None
    """What a reader of the table should know of it."""


class RowTeacher(Section):
    """The student of another row."""

    kind: Literal["row"]
    row: str
    """Which row."""
    stage: PositiveInt | Literal["last"]
    """Which of its stages; `last` is the longest chain that the row's columns need."""
    data: str
    """What data it saw beyond that row's own."""
    licence: str
    """Terms of use of its weights."""
    note: str | None = None
    """What a reader of the table should know of it."""


class TimmTeacher(Section):
    """Any model of timm by name."""

    kind: Literal["timm"]
    model: str
    """Name in timm's registry, with its tag: `vit_base_patch16_224.dino`."""
    weights: FilledPath
    """`hub`: timm fetches them. `random`: it was never trained. Anything else: a local file with them."""
    image_size: PositiveInt
    """Side of the images the teacher sees, in pixels; chosen so that its grid equals the student's."""
    projection: bool
    """Pass every token through the model's head (CLIP: norm, then projection)."""
    block: NonNegativeInt | None = None
    """Block (of a network of stages: stage), from 0, whose output is taken. Null: the last."""
    data: str
    """What data it saw."""
    licence: str
    """Terms of use of its weights."""
    note: str | None = None
    """What a reader of the table should know of it."""


class PackageTeacher(Section):
    """A network from any installed package."""

    kind: Literal["package"]
    network: str
    """Dotted path of the class or function that builds it: `package.module.Network.create`."""
    arguments: dict[str, Any]
    """What it is called with."""
    weights: FilledPath | None
    """A file of weights, or the dotted path of a function that gives one's path. Null: it was never trained."""
    module: str
    """Name of the module inside it whose output is taken: a map, or tokens."""
    prefix_tokens: NonNegativeInt = 0
    """Tokens before those of patches; the first one counts as the class token."""
    image_size: PositiveInt
    """Side of the images the teacher sees, in pixels; chosen so that its grid equals the student's."""
    mean: Pixel
    """Mean of the pixels, in 0..1, by channel, with which it was trained."""
    std: Pixel
    """Their standard deviation."""
    data: str
    """What data it saw."""
    licence: str
    """Terms of use of its weights."""
    note: str | None = None
    """What a reader of the table should know of it."""


class FileTeacher(Section):
    """The network of a local file: this project's checkpoints, the published ones, MAE, DINO, DeiT, BEiT, CLIP, timm's."""

    kind: Literal["file"]
    path: FilledPath
    """The file."""
    layout: Layout | None
    """How it names its tensors. Null: its names show it."""
    entry: str | None = None
    """The dotted key in it below which the weights are: `state_dict_ema`. Null: usual ones are tried; it is said which was taken."""
    heads: PositiveInt | None = None
    """Attention heads per block, which no shape of a plain ViT shows. Null: those that are usual for its width."""
    activation: Activation | None = None
    """Between the layers of its MLPs, which no shape shows. Null: GELU; CLIP's: QuickGELU."""
    mean: Pixel | None = None
    """Mean of the pixels, in 0..1, by channel, with which it was trained. Null: the layout's, or `normalisation`."""
    std: Pixel | None = None
    """Their standard deviation; goes with `mean`."""
    image_size: PositiveInt
    """Side of the images the teacher sees, in pixels; its positions are resized to that grid."""
    block: NonNegativeInt | None = None
    """Block, from 0, whose output is taken. Null: the last."""
    data: str
    """What data it saw."""
    licence: str
    """Terms of use of its weights."""
    note: str | None = None
    """What a reader of the table should know of it."""


Teacher = Annotated[RandomTeacher | RowTeacher | TimmTeacher | PackageTeacher | FileTeacher, Field(discriminator="kind")]


def has_attention(teacher: Teacher) -> bool:
    """Whether attention and tokens can be looked at layer by layer, as far as the declaration shows: a plain ViT with a block."""
    if isinstance(teacher, RandomTeacher):
        return teacher.depth != 0
    if isinstance(teacher, TimmTeacher):
        return PLAIN.match(teacher.model) is not None
    return not isinstance(teacher, PackageTeacher)
