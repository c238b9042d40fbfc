"""What is measured beside the table: probes of frozen features, insides of networks, and transfer to sets not seen before."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

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
