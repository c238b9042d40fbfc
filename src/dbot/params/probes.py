"""What is measured beside the table: probes of frozen features, insides of networks, transfer to other sets, classifiers under shift."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from dbot.params.section import Fraction, Section

Pooling = Literal["average", "class_token"]


class NearestNeighbours(Section):
    """Weighted k-NN on cosine similarities (DINO, arXiv 2104.14294, appendix F)."""

    k: Annotated[list[PositiveInt], Field(min_length=1)]
    """Numbers of neighbours that vote; each gives a figure of its own."""
    temperature: PositiveFloat
    """A neighbour of similarity s votes with exp(s / temperature)."""


class Linear(Section):
    """Multinomial logistic regression on standardised features."""

    strengths: Annotated[list[PositiveFloat], Field(min_length=1)]
    """Weights of half the squared norm beside the mean cross-entropy; the one that is best on held-out training images is taken."""
    holdout: Annotated[float, Field(gt=0, lt=1)]
    """Share of the training images of every class that is held out to choose it."""
    seed: NonNegativeInt
    """Decides which are held out."""
    tolerance: PositiveFloat
    """The solver stops when no entry of the gradient is larger."""
    iterations: PositiveInt
    """The solver stops after so many iterations at the latest, and the job says so."""


class Probes(Section):
    """k-NN and linear classification of frozen features, trained on train and measured on validation."""

    image_size: PositiveInt | None
    """Side of the images in pixels; a multiple of the patch size. Null: the network's own."""
    evaluation_resize: PositiveFloat
    """Short side before the central crop, over the crop size (256/224 up to 224 px, 1 above)."""
    pooling: Pooling
    """Feature of an image: the mean of its patch tokens, or its class token."""
    precision: Literal["bf16", "fp16", "fp32"]
    """Autocast type of the network; features and probes are float32."""
    knn: NearestNeighbours
    """The k-NN probe."""
    linear: Linear
    """The linear probe."""


class FewShot(Section):
    """Linear classification of frozen features from a few images of each class (as in BiT, arXiv 1912.11370, section 4.2)."""

    images: Annotated[list[PositiveInt], Field(min_length=1)]
    """Numbers of training images of each class; each gives a figure of its own."""
    draws: Annotated[int, Field(ge=2)]
    """How often they are drawn anew; the figures are mean and standard deviation over the draws."""
    seed: NonNegativeInt
    """Of the drawing."""
    strength: PositiveFloat
    """Weight of half the squared norm beside the mean cross-entropy. One image a class leaves none by which it could be chosen."""


class LinearSegmentation(Section):
    """A linear layer over the patch tokens of a frozen network, as DINOv2 (arXiv 2304.07193, section 7.4) and others report."""

    epochs: PositiveInt
    """Passes over the training images."""
    batch_size: PositiveInt
    """Images in a step."""
    learning_rate: PositiveFloat
    """Of AdamW at its beginning; it falls to 0 along half a cosine."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Of AdamW."""
    seed: NonNegativeInt
    """Of the order of the images, and of the layer's first weights."""


class Monitor(Section):
    """k-NN on some images while a student is pre-trained. It changes nothing in what is trained."""

    every_epochs: PositiveInt
    """Measure after every so many epochs, and always after the last."""
    train_images: PositiveInt
    """Training images whose neighbours are looked for: about so many, the same share of every class and at least one of each."""
    validation_images: PositiveInt
    """Validation images that are classified, chosen likewise."""
    pooling: Pooling
    """Feature of an image: the mean of its patch tokens, or its class token."""
    k: PositiveInt
    """Number of neighbours that vote."""
    temperature: PositiveFloat
    """A neighbour of similarity s votes with exp(s / temperature)."""


class Analysis(Section):
    """Attention distance and singular values of tokens, by layer, over the validation images of `uses.cls`."""

    images: PositiveInt | None
    """So many validation images at most, taken at equal steps through the set. Null: all, as published."""
    evaluation_resize: PositiveFloat
    """Short side before the central crop, over the crop size (256/224 up to 224 px, 1 above)."""
    renormalise: bool
    """Whether attention is renormalised over the patches once the class token is dropped. The published code doesn't."""
    top: PositiveInt
    """How many of the largest singular values are looked at."""


class TransferSet(Section):
    """What a set has of its own; everything else is that of `recipes.transfer`."""

    epochs: PositiveInt | None = None
    """Passes over its training images. Null: the recipe's."""
    random_erase: Fraction | None = None
    """Probability of random erasing. Null: the recipe's."""


class Transfer(Section):
    """Which sets students are transferred to (published `evaluation/eval_cls.py`)."""

    sets: list[str]
    """Data sets, in the order of the table."""
    figures: dict[str, TransferSet] = Field(default_factory=dict)
    """By data set, what it has of its own."""


class ShiftSet(Section):
    """How a classifier is measured on a set that is shifted from its own; `dbot.measure.robustness` has the sources."""

    title: str | None = None
    """What the column is called. Null: as the data set is."""
    score: Literal["accuracy", "real", "corruptions"] = "accuracy"
    """`accuracy`: top-1 and what is measured beside it. `real`: the share of images whose prediction is on their list of labels (ReaL),
    found by the number in their names. `corruptions`: the mean corruption error, of a set of layout `corruptions`."""
    outputs: Literal["all", "own"] = "all"
    """Among which the prediction is looked for: all that the classifier has, or those of the set's classes (ImageNet-A, ImageNet-R)."""
    labels: str | None = None
    """Of score `real`: the file of lists, `real.json`, below the set's root. Null: ImageNet's, of which timm has a copy."""
    reference: Literal["alexnet"] | None = None
    """Of score `corruptions`: by whose errors those of each corruption are divided. Null: by nobody's, as on CIFAR-10-C."""

    @model_validator(mode="after")
    def _fits_its_score(self) -> Self:
        for key, value, score in (("labels", self.labels, "real"), ("reference", self.reference, "corruptions")):
            if value is not None and self.score != score:
                raise ValueError(f"{key} is for score {score}, and score is {self.score}: remove it")
        if self.outputs == "own" and self.score != "accuracy":
            raise ValueError(f"outputs: own is for score accuracy, and score is {self.score}: remove it")
        return self


class Shift(Section):
    """On which sets classifiers are measured beside that of `uses.cls`: other images of its classes, corrupted ones, other labels."""

    sets: list[str]
    """Data sets, in the order of the table; of each the validation part is measured on."""
    figures: dict[str, ShiftSet] = Field(default_factory=dict)
    """By data set, what is measured otherwise than as plain accuracy."""
