"""What a training keeps on its GPU at most, from its configuration alone. Loads no torch.

At the end of the forward pass there are weights, the optimizer's moments, what frozen networks hold, and what the backward pass
will need of every image; and gradients, which several processes keep throughout. The bytes that an image leaves are fitted
to trainings of the paper's scale that were rehearsed tensor by tensor (`tests/gpu_rehearsal/peaks.json`), and a test holds them there.
They are those of bf16 or fp16 without torch.compile, which only saves; float32 takes up to twice as much.
"""

import math
from dataclasses import dataclass, replace

from dbot.params.dense import Dense, Detect, Segment
from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.teachers import Architecture

USABLE = 0.9
"""Share of a device's memory that tensors may take; CUDA itself, NCCL, workspaces of kernels and gaps take the rest."""
GIGA = 1e9
NUMBER = 4
"""Bytes of a weight, a gradient, or one of AdamW's two moments."""
CAST = 2
"""Bytes of a weight's copy in the type of the products, which autocast keeps from its forward to its backward pass."""
PLAIN = 37.5
"""Bytes that a token leaves in a block, over its width: what the backward passes of two norms, attention and MLP need."""
SCALED = 42.0
"""With layer scale and relative positions (the symmetric design): the scaled branches too."""
DECODED = 42.0
"""In the narrow decoder of the asymmetric design, and with it what prediction and loss need."""
RECOMPUTED = 4.0
"""Where blocks are computed again in the backward pass: their inputs alone."""
BIAS = 2.0
"""Bytes of a relative position's bias on a pair of tokens, which every block has in the type of its products."""
MAPS, HALVED = 115.0, 70.0
"""Bytes that a patch leaves in the pyramid's four maps, over the encoder's width, where they end in float32 or in half of its bits."""
NECK = 255.0
"""Bytes that a patch leaves in a detector's neck and proposal network, over their channels."""
LABELLED = 434.0
"""Bytes that a patch leaves in a segmenter's head, over its channels."""
LOGITS = 4.0
"""Copies of the logits of every pixel and class, in float32, that there are where a segmenter's loss is computed."""
OBJECTS = 40
"""In an image of detection, as it is reckoned with: each has a mask of the image's size, a byte a pixel."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of a training in one process."""

    weights: float
    """That are trained."""
    frozen: float
    """Of networks that are only run."""
    image: float
    """Kept of each image of a forward pass, for the backward pass."""
    inside: float
    """Of them, in blocks; where these are computed again, only their inputs stay."""
    widest: float
    """Of them, in the block that keeps most."""
    recomputed: float
    """What one image leaves instead of `inside`."""
    biases: float = 0.0
    """Kept of a forward pass in blocks, however many images it has."""
    bias: float = 0.0
    """Of them, in one block."""

    def peak(self, batch: int, checkpointing: bool, held: bool = True) -> float:
        """The most that is there at any time.

        Args:
            batch: images in a forward pass.
            checkpointing: whether blocks are computed again in the backward pass.
            held: whether gradients stay from one forward pass to the next: in the buckets of several processes, or since several
                passes make a step. Without, they take the place of what the images have left.
        """
        # A block is computed again when what lies behind it has been used and let go.
        kept = self.recomputed + max(self.image - self.inside, self.widest) if checkpointing else self.image
        begun = batch * kept + (self.bias if checkpointing else self.biases)
        # The backward pass begins with what the images have left, and ends with all gradients and what its last block takes.
        ended = self.weights + batch * self.widest + self.bias
        return self.frozen + (3 + CAST / NUMBER) * self.weights + (self.weights + begun if held else max(begun, ended))

    def largest_batch(self, memory_gb: float, checkpointing: bool) -> int:
        """The most images in a forward pass with which it fits a device; 0: it does not fit with any."""
        low, high = 0, 1
        while self.peak(high, checkpointing) <= USABLE * memory_gb * GIGA and high < 1 << 16:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.peak(middle, checkpointing) <= USABLE * memory_gb * GIGA else (low, middle)
        return low


def of_blocks(numbers: float, frozen: float, *towers: tuple[int, int, float, float]) -> Footprint:
    """A training whose images go through towers of transformer blocks.

    Args:
        numbers: weights that are trained.
        frozen: bytes of networks that are only run.
        towers: of each its blocks, their width, an image's tokens in them, and the bytes of a token over its width.
    """
    inside = sum(depth * width * tokens * each for depth, width, tokens, each in towers)
    widest = max(width * tokens * each for _, width, tokens, each in towers)
    recomputed = sum(depth * width * tokens * RECOMPUTED for depth, width, tokens, _ in towers)
    return Footprint(NUMBER * numbers, frozen, inside, inside, widest, recomputed)


def of_student(architecture: Architecture, recipe: AsymmetricPretrain | SymmetricPretrain, numbers: float, teacher: float) -> Footprint:
    """A stage of distillation.

    Args:
        architecture: the student's.
        recipe: of the stage.
        numbers: weights of the student.
        teacher: weights of the teacher; 0: not known.
    """
    patches, masks = architecture.grid**2, recipe.masks_per_image
    frozen = teacher * (NUMBER if recipe.precision == "fp32" or recipe.teacher_momentum is not None else 2)
    if isinstance(recipe, SymmetricPretrain):
        found = of_blocks(numbers, frozen, (architecture.depth, architecture.width, masks * (1 + patches), SCALED))
        return _biased(found, architecture, 1 + patches) if recipe.relative_positions else found
    seen = masks * (1 + int(patches * (1 - recipe.mask_ratio)))
    decoder = recipe.decoder
    return of_blocks(
        numbers,
        frozen,
        (architecture.depth, architecture.width, seen, PLAIN),
        (decoder.depth, decoder.width, masks * (1 + patches), DECODED),
    )


def of_classifier(architecture: Architecture, symmetric: bool, numbers: float, relative: bool = False) -> Footprint:
    """Fine-tuning of a classifier; the architecture's image size is that of the classifier."""
    tokens = 1 + architecture.grid**2
    found = of_blocks(numbers, 0.0, (architecture.depth, architecture.width, tokens, SCALED if symmetric else PLAIN))
    return _biased(found, architecture, tokens) if relative else found


def _biased(found: Footprint, architecture: Architecture, tokens: float) -> Footprint:
    """With biases of attention, of its own in every block."""
    bias = BIAS * architecture.heads * tokens**2
    return replace(found, biases=architecture.depth * bias, bias=bias)


def _of_dense(architecture: Architecture, recipe: Dense, numbers: float, patches: float, beside: float) -> Footprint:
    """A network on a pyramid; ``beside`` is what an image leaves outside of blocks."""
    each = PLAIN if recipe.layer_scale is None else SCALED
    found = of_blocks(numbers, 0.0, (architecture.depth, architecture.width, 1 + patches, each))
    found = replace(found, image=found.inside + beside)
    return _biased(found, architecture, 1 + patches) if recipe.relative_positions else found


def of_segmenter(architecture: Architecture, recipe: Segment, classes: int, numbers: float) -> Footprint:
    """Training of a segmenter."""
    crop = recipe.augmentation.crop
    patches = (crop / architecture.patch_size) ** 2
    maps = patches * (HALVED * architecture.width + LABELLED * (recipe.head.channels or architecture.width))
    return _of_dense(architecture, recipe, numbers, patches, maps + LOGITS * NUMBER * classes * crop**2)


def of_detector(architecture: Architecture, recipe: Detect, classes: int, numbers: float, square: bool, masks: bool) -> Footprint:
    """Training of a detector, on the largest images that its recipe makes.

    Args:
        architecture: the encoder's.
        recipe: of the training.
        classes: number of them, without the background.
        numbers: weights that are trained.
        square: whether all images are; otherwise wide ones and tall ones may meet in a batch, whose sides are then both long.
        masks: whether it has mask heads.
    """
    augmentation, divisor = recipe.augmentation, 2 * architecture.patch_size
    side = divisor * math.ceil((max(augmentation.short_sides) if square else augmentation.long_side) / divisor)
    patches, samples = (side / architecture.patch_size) ** 2, recipe.cascade.samples
    # Maps of a box: what was pooled, and before and after each convolution's norm. Those of a mask: what was pooled and after each
    # convolution, and one of twice the side.
    boxes = samples * (1 + 2 * recipe.boxes.convolutions) * recipe.boxes.size**2
    outlined = samples * recipe.cascade.positive_fraction * (1 + recipe.masks.convolutions + 4) * recipe.masks.size**2 if masks else 0.0
    logits = samples * recipe.cascade.positive_fraction * 2 * (classes + 1) * (2 * recipe.masks.size) ** 2 if masks else 0.0
    heads = NUMBER * len(recipe.cascade.stages) * (recipe.channels * (boxes + outlined) + logits)
    truth = OBJECTS * side**2 if masks else 0.0
    maps = patches * (MAPS * architecture.width + NECK * recipe.channels)
    return _of_dense(architecture, recipe, numbers, patches, maps + heads + truth)
