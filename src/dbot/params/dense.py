"""Recipes of detection (Cascade Mask R-CNN) and segmentation (UperNet) on a ViT tapped at four depths, and all recipes by kind."""

from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from dbot.params.recipes import Finetune, Pretrain, Training
from dbot.params.section import Fraction, Pair, Rate, Section


class Dense(Training):
    """A backbone made of a pre-trained encoder, for tasks that need maps of features."""

    design: Literal["asymmetric", "symmetric"]
    """Whose encoder it is; it must be that of the student it starts from."""
    taps: Annotated[list[NonNegativeInt], Field(min_length=4, max_length=4)]
    """Blocks (from 0) whose tokens become the four maps, the finest first."""
    absolute_positions: bool
    """Learned absolute positions; the student must have them too."""
    relative_positions: bool
    """A table of relative position biases in every block; from zeros where the student has none."""
    layer_scale: PositiveFloat | None
    """Initial value of the layer scale where the student has none. Null: no layer scale."""
    evaluate_every: PositiveInt | None = None
    """Measure on the validation images after every so many epochs. Null: only the job `evaluate` does."""


class DetectAugmentation(Section):
    """Training images: flipped, and either resized, or resized, cropped and resized again, one half each in the published recipe."""

    flip: Fraction
    """Probability of a horizontal flip."""
    short_sides: Annotated[list[PositiveInt], Field(min_length=1)]
    """Short sides in pixels, of which one is drawn."""
    long_side: PositiveInt
    """The long side stays at most this long, in pixels."""
    crop_probability: Fraction
    """Probability of the crop."""
    crop_short_sides: Annotated[list[PositiveInt], Field(min_length=1)]
    """Short sides in pixels before the crop, of which one is drawn."""
    crop_sides: Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
    """Shortest and longest side of the crop, in pixels."""


class DetectInference(Section):
    """How images are looked at after training, and what of the findings is kept."""

    short_side: PositiveInt
    """Images are resized to this short side, in pixels,"""
    long_side: PositiveInt
    """unless the long side would exceed this."""
    score: Fraction
    """Detections with a lower score are dropped."""
    nms: Fraction
    """Of two detections of a class that overlap by more than this IoU, the better stays."""
    detections: PositiveInt
    """Most detections of one image."""
    mask: Fraction
    """Probability from which a pixel belongs to a mask."""


class Counts(Section):
    """A number that differs between training and inference."""

    training: PositiveInt
    """In training."""
    inference: PositiveInt
    """In inference."""


class Proposals(Section):
    """The region proposal network."""

    anchor_scale: PositiveFloat
    """Side of a square anchor, over the stride of its map."""
    anchor_ratios: Annotated[list[PositiveFloat], Field(min_length=1)]
    """Height over width of the anchors at every place; their areas agree."""
    border: NonNegativeInt | None
    """Anchors that reach out of the image by more pixels than this are not trained. Null: all are."""
    positive_iou: Fraction
    """Anchors that overlap an object at least this much are positive."""
    negative_iou: Fraction
    """Anchors that overlap every object less than this are negative; those between are not trained."""
    least_iou: Fraction
    """The anchors that overlap an object most are positive too, from this overlap on."""
    samples: PositiveInt
    """Anchors of an image that are trained in one step."""
    positive_fraction: Fraction
    """Largest share of positives among them."""
    candidates: Counts
    """Best anchors of each map before non-maximum suppression."""
    kept: Counts
    """Proposals of an image after it."""
    nms: Fraction
    """IoU above which the worse of two proposals of a map is dropped."""


class CascadeStage(Section):
    """A stage of the cascade."""

    iou: Fraction
    """Proposals that overlap an object at least this much are positive."""
    weight: PositiveFloat
    """Factor on the stage's losses."""
    stds: Annotated[list[PositiveFloat], Field(min_length=4, max_length=4)]
    """Standard deviations by which the offsets of x, y, width and height are divided."""


class Cascade(Section):
    """Stages that refine the boxes one after the other (arXiv 1712.00726)."""

    stages: Annotated[list[CascadeStage], Field(min_length=1)]
    """In their order; a single one makes it a Mask R-CNN."""
    samples: PositiveInt
    """Proposals of an image that a stage is trained on; the ground truth is among them."""
    positive_fraction: Fraction
    """Largest share of positives among them."""
    average: Literal["logits", "probabilities"]
    """What is averaged over the stages to a detection's score."""


class BoxHead(Section):
    """Classification and regression of a stage: convolutions and one fully connected layer."""

    size: PositiveInt
    """Side of the pooled features."""
    convolutions: NonNegativeInt
    """3x3 convolutions with a norm, before the fully connected layer."""
    hidden: PositiveInt
    """Width of the fully connected layer."""
    norm: Literal["batch", "group"]
    """After every convolution: batch norm (over all GPUs), or group norm with groups of 8 channels."""
    class_agnostic: bool
    """One box for all classes of a proposal; otherwise one for each."""
    loss: Literal["giou", "smooth_l1"]
    """Generalised IoU of the decoded boxes, or smooth L1 (beta 1) of the encoded offsets."""
    loss_weight: PositiveFloat
    """Factor on the regression loss; the published recipes give GIoU 10 and smooth L1 1."""


class MaskHead(Section):
    """The masks of a stage: convolutions, then one at twice the side and a mask for each class."""

    size: PositiveInt
    """Side of the pooled features; masks have twice that."""
    convolutions: PositiveInt
    """3x3 convolutions."""


class Detect(Dense):
    """Cascade Mask R-CNN: FPN, proposals, and a cascade of box and mask heads (published section `DOWNSTREAM`, COCO)."""

    image_size: PositiveInt
    """Side in pixels of the square that the positions are made for; they are resized to each image's grid."""
    channels: Annotated[int, Field(gt=0, multiple_of=8)]
    """Channels of the FPN's maps and of all convolutions in the heads."""
    proposals: Proposals
    """The region proposal network."""
    cascade: Cascade
    """The cascade."""
    boxes: BoxHead
    """Each stage's box head."""
    masks: MaskHead
    """Each stage's mask head."""
    augmentation: DetectAugmentation
    """Resizing, crop and flip of the training images."""
    inference: DetectInference
    """Size of the images, and which detections are kept."""


class SegmentHead(Section):
    """UperNet's head (arXiv 1807.10221): pooling over the coarsest map, then a feature pyramid over all four."""

    channels: PositiveInt | None
    """Channels of the head. Null: the encoder's width."""
    pool_scales: Annotated[list[PositiveInt], Field(min_length=1)]
    """Sides of the grids that the coarsest map is pooled to."""
    dropout: Rate
    """Probability that a channel is dropped before the classifier; the auxiliary head has the same."""
    initial_std: PositiveFloat
    """Standard deviation of the initial weights of the two heads' classifiers."""


class AuxiliaryHead(Section):
    """A small convolutional head on one of the maps, which only training uses."""

    channels: PositiveInt
    """Channels of its convolution."""
    tap: Annotated[int, Field(ge=0, le=3)]
    """Which of the four maps it reads; 0 is the finest."""
    weight: NonNegativeFloat
    """Weight of its loss beside that of the head, whose weight is 1."""


class SegmentAugmentation(Section):
    """Training crops."""

    long_side: PositiveInt
    """Before the jitter, an image is resized to fit into this long side, in pixels, …"""
    short_side: PositiveInt
    """… and this short side; its aspect ratio is kept."""
    scale_jitter: Pair
    """Smallest and largest factor on both sides, drawn for every crop."""
    crop: PositiveInt
    """Side of the square crop in pixels; the position tables are made for it."""
    largest_share: Fraction
    """A crop is drawn again while one class has this share of its labelled pixels or more. 1: never."""
    flip: Fraction
    """Probability of a horizontal flip."""
    distortion: bool
    """Distort brightness, contrast, saturation and hue."""


class SegmentInference(Section):
    """How whole images are labelled."""

    long_side: PositiveInt
    """Images are resized to fit into this long side, in pixels, …"""
    short_side: PositiveInt
    """… and this short side; their aspect ratio is kept. Results are measured at the size of the label map."""
    window: PositiveInt
    """Side of the sliding window in pixels; an image that fits into one is labelled whole."""
    stride: PositiveInt
    """Pixels from one window to the next, at most `window`; logits of overlapping windows are averaged."""


class Segment(Dense):
    """Semantic segmentation (published section `DOWNSTREAM`).

    The heads normalise over the images of one forward pass (over those of all GPUs, where there
    are several), so here `batch_per_process` is not only a matter of memory.
    """

    head: SegmentHead
    """The head that labels."""
    auxiliary: AuxiliaryHead
    """The head that helps in training."""
    augmentation: SegmentAugmentation
    """Training crops."""
    inference: SegmentInference
    """How validation images are labelled."""


Kind = Literal["pretrain", "finetune", "transfer", "detect", "segment"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Recipes(Section):
    """All recipes by kind, then by name. A recipe may say `extends: <name>` and give only what differs."""

    pretrain: dict[str, Pretrain]
    """How a stage of distillation is trained."""
    finetune: dict[str, Finetune]
    """How a classifier is fine-tuned."""
    transfer: dict[str, Finetune]
    """How a classifier is fine-tuned on a set that pre-training has not seen. Rows whose recipe isn't here are not transferred."""
    detect: dict[str, Detect]
    """How a detector is trained."""
    segment: dict[str, Segment]
    """How a segmenter is trained."""
