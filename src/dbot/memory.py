"""What a training keeps on its GPU at most, from its configuration alone. Loads no torch.

At the end of the forward pass there are weights, the optimizer's moments, what frozen networks hold, and what the backward pass
will need of every image; at the step itself there are all gradients, and no image any more. The bytes that an image leaves are fitted
to distillations of the paper's scale that were rehearsed tensor by tensor (`tests/gpu_rehearsal/peaks.json`), and a test holds them
there; fine-tuning is taken to leave the same.
They are those of bf16 or fp16 without torch.compile, which only saves; float32 takes up to twice as much.
"""

from dataclasses import dataclass

from dbot.params.recipes import AsymmetricPretrain, SymmetricPretrain
from dbot.params.teachers import Architecture

USABLE = 0.9
"""Share of a device's memory that tensors may take; CUDA itself, NCCL, workspaces of kernels and gaps take the rest."""
GIGA = 1e9
NUMBER = 4
"""Bytes of a weight, a gradient, or one of AdamW's two moments."""
PLAIN = 31.0
"""Bytes that a token leaves in a block, over its width: what the backward passes of two norms, attention and MLP need."""
SCALED = 44.0
"""With layer scale and relative positions (the symmetric design): the scaled branches too."""
DECODED = 46.0
"""In the narrow decoder of the asymmetric design, and with it what prediction and loss need."""
RECOMPUTED = 8.0
"""Where blocks are computed again in the backward pass: their inputs alone."""


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

    def peak(self, batch: int, checkpointing: bool) -> float:
        """The most that is there at any time, with so many images in a forward pass."""
        kept = self.image - self.inside + self.recomputed + self.widest if checkpointing else self.image
        return self.frozen + max(3 * self.weights + batch * kept, 4 * self.weights)

    def largest_batch(self, memory_gb: float, checkpointing: bool) -> int:
        """The most images in a forward pass with which it fits a device; 0: it does not fit with any."""
        low, high = 0, 1
        while self.peak(high, checkpointing) <= USABLE * memory_gb * GIGA and high < 1 << 16:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.peak(middle, checkpointing) <= USABLE * memory_gb * GIGA else (low, middle)
        return low


def of_blocks(numbers: float, frozen: float, *towers: tuple[int, int, int, float]) -> Footprint:
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
        return of_blocks(numbers, frozen, (architecture.depth, architecture.width, masks * (1 + patches), SCALED))
    seen = masks * (1 + int(patches * (1 - recipe.mask_ratio)))
    decoder = recipe.decoder
    return of_blocks(
        numbers,
        frozen,
        (architecture.depth, architecture.width, seen, PLAIN),
        (decoder.depth, decoder.width, masks * (1 + patches), DECODED),
    )


def of_classifier(architecture: Architecture, symmetric: bool, numbers: float) -> Footprint:
    """Fine-tuning of a classifier; the architecture's image size is that of the classifier."""
    return of_blocks(numbers, 0.0, (architecture.depth, architecture.width, 1 + architecture.grid**2, SCALED if symmetric else PLAIN))
