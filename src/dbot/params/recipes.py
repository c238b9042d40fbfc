"""Recipes: every number that decides how a network is trained, and nothing about where."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from dbot.params.probes import Monitor
from dbot.params.section import Betas, Fraction, Pair, ProperFraction, Rate, Section


class Schedule(Section):
    """How the learning rate falls from its peak to its minimum."""

    kind: Literal["cosine", "steps", "polynomial"] = "cosine"
    """Half a cosine after the warm-up; a factor at every milestone; or a power of the share of the training that is left."""
    milestones: list[PositiveFloat] = Field(default_factory=list)
    """Epochs at which `steps` falls."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """What `steps` multiplies with at a milestone."""
    power: PositiveFloat = 1.0
    """Exponent of `polynomial`; 1: a straight line."""
    warmup_from: Rate = 0.0
    """Share of the rate with which the warm-up begins."""


class Optimizer(Section):
    """AdamW with a linear warm-up and a schedule, stepped every iteration."""

    learning_rate: PositiveFloat
    """Peak learning rate, for a batch of `learning_rate_per` images."""
    learning_rate_per: PositiveInt | None
    """The learning rate is scaled by batch size over this number. Null: it is absolute."""
    minimum_learning_rate: NonNegativeFloat
    """Learning rate at the end of the schedule; not scaled by the batch."""
    betas: Betas
    """AdamW's decay rates of the two moments."""
    eps: PositiveFloat
    """AdamW's epsilon."""
    weight_decay: NonNegativeFloat
    """Decoupled weight decay; one-dimensional parameters and biases are exempt."""
    clip_grad: PositiveFloat | None
    """Clip the global gradient norm to this. Null: no clipping."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the learning rate from one block to the one below it. 1: the same for all."""
    schedule: Schedule = Field(default_factory=Schedule)
    """How the learning rate falls."""


class Loss(Section):
    """Distance between the student's prediction and the teacher's feature."""

    kind: Literal["smooth_l1", "l1", "l2", "negative_cosine"]
    """Which distance; the mean over the feature dimension, except for the cosine."""
    beta: PositiveFloat = 2.0
    """Where smooth L1 turns from quadratic to linear; unused by the others."""


class Target(Section):
    """What is taken from the teacher."""

    normalise: bool
    """Normalise every token over its features to mean 0 and (unbiased) variance 1, without affine."""
    final_norm: bool
    """Apply the teacher's final LayerNorm first; the published code does not."""


class Decoder(Section):
    """Transformer that predicts the teacher's features from visible tokens and mask tokens."""

    width: PositiveInt
    """Embedding dimension."""
    depth: NonNegativeInt
    """Number of blocks."""
    heads: PositiveInt
    """Attention heads per block."""


class Boundary(Section):
    """What survives when a stage ends and its student becomes the next teacher."""

    reinitialise: bool
    """Draw the next student's weights anew. False: it goes on from the weights of the stage before."""
    keep_optimizer: bool
    """Keep AdamW's moments and step count."""
    keep_patch_bias: bool
    """Keep the bias of the patch embedding."""


class Augmentation(Section):
    """The crop that student and teacher both see."""

    crop_scale: Pair
    """Smallest and largest share of the image's area in a random resized crop."""
    crop_ratio: Pair
    """Smallest and largest aspect ratio of the crop."""
    flip: Fraction
    """Probability of a horizontal flip."""
    color_jitter: NonNegativeFloat
    """Strength of brightness, contrast and saturation jitter. 0: none."""


class Blocks(Section):
    """Block-wise masks (BEiT, arXiv 2106.08254, algorithm 1)."""

    patches: PositiveInt
    """Largest number of masked patches."""
    minimum: PositiveInt
    """Fewest patches in one block."""
    aspect: ProperFraction
    """Smallest aspect ratio of a block; the largest is its inverse."""


class Training(Section):
    """Figures that every training has."""

    epochs: PositiveInt
    """Passes over the training data (for pre-training: in each stage)."""
    warmup_epochs: NonNegativeFloat
    """Epochs of linear warm-up; fewer than `epochs`."""
    batch_size: PositiveInt
    """Images in one optimizer step, over all processes and accumulation steps."""
    optimizer: Optimizer
    """Optimizer and schedule."""
    drop_path: Rate
    """Stochastic depth of the last block; it grows linearly from 0 at the first."""
    precision: Literal["bf16", "fp16", "fp32"]
    """Autocast type; fp16 brings a gradient scaler."""
    compile: bool
    """Compile the network, and a stage's teacher, with torch.compile, on a GPU; a CPU runs them as they are."""
    shortcuts: bool = True
    """Leave out what can't change the outcome (a last block's tokens that no loss reads; on a CPU, branches that drop path
    drops) and step AdamW in one kernel. Numbers agree with those of False, the plain path, up to rounding."""
    deterministic: bool = False
    """On a GPU, compute with kernels alone that give the same bits in every run on GPUs of the same kind and number; they are slower.
    A CPU gives the same bits in any case."""
    non_finite: Literal["stop", "skip", "rewind"]
    """What a loss or gradient that is not finite does: stop the job, skip the step, or go back to the last good state and pass over it."""
    seed: NonNegativeInt
    """Every random draw of the job is a function of this seed and of where it is made."""


class Distillation(Training):
    """A stage of distillation: what both designs share."""

    class_token_in_loss: bool
    """Whether the class token is regressed too; the published code does for the asymmetric design."""
    loss: Loss
    """Distance to the target."""
    target: Target
    """The teacher's output that is regressed."""
    teacher_momentum: Rate | None = None
    """The teacher follows the student after every step, keeping this share of its old weights. Null: it stays as it is."""
    drop_path_subset: bool = False
    """Drop path keeps the same number of images in every forward pass of a process, drawn anew for each branch, instead of drawing for
    each image by itself; so a GPU computes no branch that is dropped (DINOv2, arXiv 2304.07193). Other draws, other results."""
    stage_epochs: list[PositiveInt] | None = None
    """Passes over the training data by stage, where stages differ in length. Null: `epochs` in each."""
    boundary: Boundary
    """What survives a stage."""
    augmentation: Augmentation
    """The crop, of which both views are made where student and teacher see two."""
    masks_per_image: PositiveInt = 1
    """Masks of one crop in a step, which share its decoding and its pass through the teacher; the loss is their mean. The paper
    has 1. The student takes this many times the memory of `batch_per_process`."""
    monitor: Monitor | None = None
    """k-NN of the student while it is trained; nothing else changes with it. Null: none."""

    def of_stage(self, stage: int) -> Self:
        """The recipe of one stage, from 1: with its own length, and without that of others."""
        epochs = self.epochs if self.stage_epochs is None else self.stage_epochs[stage - 1]
        return self.model_copy(update={"epochs": epochs, "stage_epochs": None})


class AsymmetricPretrain(Distillation):
    """Encoder on the visible patches, decoder on all (paper section 3; published branch `main`)."""

    design: Literal["asymmetric"]
    """Which student."""
    mask_ratio: ProperFraction
    """Share of patches that the student does not see."""
    decoder: Decoder
    """The student's decoder; thrown away after pre-training."""


class SymmetricPretrain(Distillation):
    """Plain ViT over the full sequence with mask tokens (published branch `beit`)."""

    design: Literal["symmetric"]
    """Which student."""
    blocks: Blocks
    """Block-wise masks."""
    layer_scale: PositiveFloat
    """Initial value of the layer scale."""
    initial_std: PositiveFloat
    """Standard deviation of the initial weights; the published 0.02 suits a width of 768 and more."""
    relative_positions: bool
    """Share one table of relative position biases among the blocks."""
    absolute_positions: bool
    """Add learned absolute positions (the detection rows need them)."""


Pretrain = Annotated[AsymmetricPretrain | SymmetricPretrain, Field(discriminator="design")]


class Mixup(Section):
    """Mixup and CutMix of a batch (timm)."""

    mixup: NonNegativeFloat
    """Alpha of mixup. 0: none."""
    cutmix: NonNegativeFloat
    """Alpha of CutMix. 0: none."""
    probability: Fraction
    """Probability that a batch is mixed at all."""
    switch_probability: Fraction
    """Probability of CutMix where both are on."""


class FinetuneAugmentation(Section):
    """Training crop and colours of fine-tuning (timm's transforms)."""

    crop_scale: Pair
    """Smallest and largest share of the image's area in a random resized crop."""
    flip: Fraction
    """Probability of a horizontal flip."""
    rand_augment: str | None
    """timm's RandAugment string. Null: none."""
    random_erase: Fraction
    """Probability of random erasing (per-pixel noise)."""
    mixup: Mixup
    """Mixing of batches."""


class Finetuning(Training):
    """Supervised fine-tuning and evaluation on the classification set (published section `DOWNSTREAM`)."""

    image_size: PositiveInt | None
    """Side of the images in pixels; a multiple of the patch size. Null: that of pre-training."""
    pooling: Literal["average", "class_token"]
    """What the classifier reads: the mean of the patch tokens (then a fresh norm) or the class token."""
    label_smoothing: Rate
    """Mass that the target gives to the other classes."""
    head_init_std: PositiveFloat
    """Standard deviation of the classifier's initial weight."""
    label_fraction: Annotated[float, Field(gt=0, le=1)]
    """Share of the labelled training images that is used, drawn evenly over the classes."""
    augmentation: FinetuneAugmentation
    """Training crop and colours."""
    evaluation_resize: PositiveFloat
    """Short side before the central crop, over the crop size (256/224 up to 224 px, 1 above)."""
    evaluate_every: PositiveInt
    """Measure on the validation images after every so many epochs, and always after the last."""
    select: Literal["last", "best"]
    """Which checkpoint fills the cell. `best` picks by validation accuracy, which flatters the number."""


class AsymmetricFinetune(Finetuning):
    """Fine-tuning of a plain ViT with absolute positions: the encoder of an asymmetric student."""

    design: Literal["asymmetric"]
    """Which classifier; it must be that of the student it starts from."""


class SymmetricFinetune(Finetuning):
    """Fine-tuning of a ViT with layer scale and a table of relative positions in every block: a symmetric student.

    The layer scale is the student's, and so is which positions it has.
    """

    design: Literal["symmetric"]
    """Which classifier; it must be that of the student it starts from."""
    head_scale: PositiveFloat
    """Factor on the classifier's initial weight and bias."""
    layer_scale: PositiveFloat
    """Initial value of the layer scale where there is no student to start from."""
    initial_std: PositiveFloat
    """Standard deviation of initial weights but the head's; the published 0.02 suits a width of 768 and more."""
    relative_positions: bool
    """Whether every block has a table of relative positions where there is no student to start from."""
    absolute_positions: bool
    """Whether there are learned absolute positions where there is no student to start from."""


Finetune = Annotated[AsymmetricFinetune | SymmetricFinetune, Field(discriminator="design")]
