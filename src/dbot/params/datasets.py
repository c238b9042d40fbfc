"""Declarations of data sets: what lies where, what to expect of it, and what it may be used for."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from dbot.params.section import FilledPath, Section

Layout = Literal[
    "imagefolder",
    "coco",
    "labelmaps",
    "cifar",
    "cars",
    "flowers",
    "inat",
    "tiny-imagenet",
    "imagenet-kaggle",
    "imagenet-tars",
    "parquet",
    "webdataset",
    "coco-roboflow",
    "yolo",
    "voc",
    "instance-masks",
    "images",
    "class-folders",
    "corruptions",
]
"""On-disk layouts that `dbot prepare` reads (docs/data.md). Each has a reader of that name in `dbot.data.layouts`. That of `images` has
no labels; those of `class-folders` and `corruptions` are of sets that are only measured on, and are read where they are named."""
MEASURED_ON: tuple[Layout, ...] = ("class-folders", "corruptions")
"""Layouts without a training part."""
NOT_STATED = "not stated"
OWNER = "its owner (not stated)"
"""Where a set comes from whose declaration says nothing of it, as messages need it."""


def is_unsaid(value: object) -> bool:
    """Of keys that came later: left out of what receipts and manifests record where nobody gives them, so that those stay as they were."""
    return value is None


def _listed(value: object) -> object:
    """One layout may stand without brackets."""
    return [value] if isinstance(value, str) else value


class Split(Section):
    """One part of a data set."""

    images: str
    """Folder that holds the images, below the root; `.` is the root itself. For `cifar`, `cars`, `flowers`, `voc`, `parquet` and
    `webdataset`, the name of the subset. For `images`, a folder, a list file (`.txt`, one path a line), or several joined by `+`."""
    annotations: str | None = None
    """Annotation file or folder below the root, for layouts that keep them apart from the images."""
    list_file: str | None = Field(default=None, exclude_if=is_unsaid)
    """Layouts `labelmaps` and `instance-masks`: file below the root with the names of this part's images, one in a line, where a folder
    holds those of several parts (`ImageSets/Segmentation/train.txt` of Pascal VOC). Null: every image of the folder."""
    count: NonNegativeInt | None = None
    """How many images the published set has; `prepare` refuses another number. Null: any number."""


class Scene(Section):
    """What one image of style `scenes` holds."""

    digits: Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
    """Fewest and most digits."""
    sizes: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2, max_length=2)]
    """Height of a digit over that of the scene, smallest and largest."""


VARIANTS = 70
"""Images that style `corrupted` makes of each: 14 corruptions at 5 severities."""


class Embedded(Section):
    """How `dbot generate` draws the embedded data set: real digits on real photographs."""

    style: Literal["digits", "outlines", "textures", "scenes", "redrawn", "relabelled", "confusable", "renditions", "sketches", "corrupted"]
    """`digits`: one digit fills the image, for classification. `outlines`: its outline alone, turned by up to 15 degrees.
    `textures`: patches of photographs, whose class is the photograph. `scenes`: several digits, with boxes, masks and label maps.
    The others are to measure classifiers of digits on (layout `class-folders`). `redrawn`: drawn again, some smaller and more turned.
    `relabelled`: often with a second digit, and a list of all that an image shows. `confusable`: digits that are taken for others.
    `renditions`: painted, printed, inverted, of some classes. `sketches`: black lines on white. `corrupted`: layout `corruptions`."""
    image_size: PositiveInt
    """Side of the square images, in pixels."""
    train: NonNegativeInt
    """Number of training images; 0 for sets that are only measured on."""
    validation: PositiveInt
    """Number of validation images; they share neither digits nor photographs with the training images. Of style `corrupted`, the images
    that each corruption is applied to at each severity."""
    clutter: float = Field(ge=0, le=1)
    """Contrast of the photograph behind the digits: 0 is a plain ground, 1 the photograph as it is."""
    scene: Scene | None = None
    """What a scene holds; given for style `scenes`, and only there."""
    seed: NonNegativeInt
    """Seed of the drawing; the same seed gives the same bytes. Sets of one seed divide the digits between training and validation alike."""

    def count(self, part: Literal["train", "validation"]) -> int:
        """How many images a part has."""
        images: int = getattr(self, part)
        return images * VARIANTS if self.style == "corrupted" else images

    @model_validator(mode="after")
    def _scenes_say_what_they_hold(self) -> Self:
        if (self.style == "scenes") != (self.scene is not None):
            raise ValueError(
                f"style {self.style} "
                + ("needs `scene`: how many digits, and of which sizes" if self.scene is None else "has no `scene`: remove it")
            )
        return self


Oddity = Literal["unseen-classes", "one-class", "mostly-void", "shared-images", "near-duplicates", "turned-images", "odd-boxes"]
"""What makes numbers say something else than they seem to, and may yet be meant; `dbot.data.oddities` says what each is."""


class Check(Section):
    """What `dbot prepare` looks at before any GPU hour is spent."""

    decode: Literal["all", "none"] | PositiveInt = 20_000
    """Decode every image, none, or a random sample of this many."""
    unreadable: Literal["refuse", "skip"] = "refuse"
    """What to do about images that don't decode: refuse the data set, or leave them out and count them."""
    annotations: Literal["refuse", "skip"] = "refuse"
    """What to do about boxes and masks that can't be used, and about images that are missing or not of the size that
    their annotations state (layout `coco`): refuse the data set, or leave them out and count them."""
    near_duplicates: Annotated[int, Field(ge=0, le=16)] | None = None
    """Look for validation images that a training image differs from in this many of the 64 bits of a perceptual hash, or fewer: copies of
    another size, quality or format differ in up to about 4. Every image is decoded for it. Null: images are compared by their bytes."""
    meant: list[Oddity] = Field(default_factory=list)
    """What is as it shall be, and neither refused nor warned of. `unseen-classes`: a class has no image, object or pixel in a part.
    `one-class`: all images, or all pixels, of the training part are of one class. `mostly-void`: over half of the pixels have no class.
    `shared-images`: training and validation hold the same images. `near-duplicates`: they hold images that look the same.
    `turned-images`: EXIF turns annotated images without a change of their size. `odd-boxes`: many boxes don't fit their masks or reach over
    the border of their images, or all lie in one quarter."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What came later and isn't said is no setting: receipts from before there were these keys hold on."""
        unsaid: dict[str, Any] = {"meant": [], "near_duplicates": None}
        return {key: value for key, value in handler(self).items() if key not in unsaid or value != unsaid[key]}


class LabelMaps(Section):
    """What the pixels of label maps stand for."""

    first_class: NonNegativeInt = 1
    """Value of the first class; the others follow it without gaps."""
    values: list[NonNegativeInt] | None = Field(default=None, exclude_if=is_unsaid)
    """Values of the classes in their order, where they don't follow each other (`labelIds` of Cityscapes); `first_class` then says
    nothing. Null: they do."""
    void: list[NonNegativeInt] = Field(default_factory=lambda: [0])
    """Values of pixels without a class: neither trained on nor measured."""
    image_suffix: str | None = Field(default=None, exclude_if=is_unsaid)
    """How the names of images end before the dot, where those of their maps end otherwise (`_leftImg8bit` of Cityscapes)."""
    map_suffix: str | None = Field(default=None, exclude_if=is_unsaid)
    """How the names of label maps end before the dot (`_gtFine_labelTrainIds` of Cityscapes); other files are no label maps."""
    class_names: str | None = Field(default=None, exclude_if=is_unsaid)
    """File below the root with the name of a class in each line, in the order of their values. Null: ADE20K's table, or numbers."""


class Jpeg(Section):
    """How shrunk copies of JPEG files are written. The defaults are read in half the time that quality 95 with full colours takes."""

    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """JPEG's quality."""
    colours: Literal["full", "half"] = "half"
    """Resolution of the colours, along each side: that of the image, or half of it, as most photographs have it."""


class Dataset(Section):
    """A data set that a scale may use."""

    title: str = ""
    """Name as a person would write it; the default is the name that it has here."""
    layouts: Annotated[list[Layout], BeforeValidator(_listed, json_schema_input_type=Layout | list[Layout])] = Field(default_factory=list)
    """How the files may lie on disk; the first that fits what is there is read. Empty, the default: every layout is tried."""
    root: FilledPath | None
    """Folder that holds the data, absolute or relative to the project; `~` and `$NAMES` of environment variables are filled in.
    Null: not on this machine."""
    train: Split = Split(images="train")
    """The training part. Where it is not given: `train` (or `training`) and, for layout `images`, the whole root."""
    validation: Split = Split(images="val")
    """The part that metrics are measured on. Where it is not given: `val` (or `valid`, `validation`, `dev`, `test`) and, for layout
    `images`, none."""
    classes: PositiveInt | None = None
    """Number of classes; `prepare` refuses another number. Null: any number."""
    licence: str = NOT_STATED
    """Licence or terms of use, in a few words."""
    source: str = OWNER
    """Where a person gets it."""
    open: bool = False
    """Whether its licence lets others see it: `dbot publish` then adds pictures that show its images, and a description (Croissant)."""
    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Its name on Hugging Face's hub, under which numbers that were measured on it are published there. Null: it isn't there."""
    embedded: Embedded | None = None
    """Set when the project draws the data itself; `root` is then where `generate` writes it."""
    check: Check = Check()
    """What `prepare` verifies."""
    label_maps: LabelMaps = Field(default_factory=LabelMaps)
    """What the pixels of its label maps stand for, if it has any; the default is ADE20K's way."""
    annotated: Literal["upright", "stored"] = "upright"
    """Which pixels boxes, masks and label maps were drawn on where an image has an EXIF orientation. `upright`: on those that viewers
    show. `stored`: on those that lie in the file; the orientation is then passed over, in training and in evaluation too."""
    masks: Literal["learnt", "none"] = "learnt"
    """What its objects are, if it has any. `learnt`: boxes and masks. `none`: boxes alone; masks are passed over, the detector has no mask
    heads, and box AP is all that is measured of it."""
    limit: PositiveInt | None = None
    """Use only this many images of each part, drawn evenly over the classes. Null: all."""
    short_side: PositiveInt | None = None
    """Write a copy of the images shrunk to this short side, in pixels, and read that. Null: read the originals."""
    copies: Literal["compressed", "pixels"] = "compressed"
    """How `short_side` writes images. `compressed`: what came as JPEG as JPEG, all else as PNG. `pixels`: uncompressed (PPM), every
    pixel as it was shrunk, and read without decoding; in turn about ten times as large as JPEG."""
    jpeg: Jpeg = Field(default_factory=Jpeg)
    """How `copies: compressed` writes what came as JPEG."""

    @property
    def unused(self) -> set[str]:
        """Fields that nothing is prepared by, the others being what they are."""
        as_ever = {"open", "hub"} | {
            field for field, usual in (("annotated", "upright"), ("masks", "learnt")) if getattr(self, field) == usual
        }
        if self.short_side is None:
            return as_ever | {"copies", "jpeg"}
        return as_ever | {"jpeg"} if self.copies == "pixels" else as_ever

    @property
    def boxes_only(self) -> bool:
        """Whether its objects are boxes alone."""
        return self.masks == "none"

    @property
    def has_no_labels(self) -> bool:
        """Whether it surely has none, by its declaration."""
        return self.layouts == ["images"]


def titled(declared: object) -> object:
    """Data sets as they were read from a file, each with a title."""
    if not isinstance(declared, dict):
        return declared
    return {name: {"title": name, **fields} if isinstance(fields, dict) else fields for name, fields in declared.items()}
