"""Scales, what a job may ask of the machine, and the hardware that forecasts reckon with."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from dbot.params.rows import Column
from dbot.params.section import Section


class Resources(Section):
    """What a job asks for. None of it changes what is computed, beyond the order of floating-point sums."""

    nodes: PositiveInt | None = None
    """Machines."""
    gpus: NonNegativeInt | None = None
    """GPUs on each; one process a GPU. 0: one process on the CPU."""
    threads: PositiveInt | None = None
    """CPU cores of the job on each node."""
    batch_per_process: PositiveInt | Literal["auto"] | None = None
    """Images in one forward pass of one process; the batch is completed by accumulation. `auto`: as many as are estimated to fit the
    memory of the hardware that is forecast for; for trainings of classifiers and students alone."""
    checkpointing: bool | None = None
    """Compute transformer blocks again in the backward pass instead of keeping their insides: less GPU memory, more time."""
    memory_gb: PositiveFloat | None = None
    """Main memory on each node, in GB."""
    minutes: PositiveInt | None = None
    """Wall-time limit of one job, in minutes; a job that is cut goes on where it was."""

    @property
    def batch(self) -> int:
        """`batch_per_process`, where a plan has settled it."""
        return self.batch_per_process if isinstance(self.batch_per_process, int) else 1


class ExecutionSettings(Section):
    """How jobs run. Nothing here changes a result, so nothing here triggers a rerun."""

    device: Literal["auto", "cpu", "cuda"]
    """`auto` takes a GPU where there is one."""
    workers: NonNegativeInt
    """Loader processes for each training process, as far as there are CPU cores. 0: load in the training process."""
    state_every_seconds: PositiveFloat
    """How often the training state is written, while the training goes on; also when it leaves off and at its end."""
    stop_before_limit_seconds: NonNegativeFloat
    """How long before the end of a Slurm job's time to write the state and leave off, to go on in the next one."""
    states_kept: PositiveInt
    """How many training states are kept while a job runs."""
    disk_patience_seconds: NonNegativeFloat
    """How long a training waits, with what it computed in memory, for a disk that is full or gone, before it ends."""
    memory_growth: Annotated[float, Field(ge=1)]
    """How many times as much main memory a job asks for that ran out of it and is submitted again. 1: no more."""
    progress_every_seconds: PositiveFloat
    """How often a log gets a progress line."""
    mlflow: bool
    """Feed MLflow while training. False: only `dbot sync` does."""


class Uses(Section):
    """Which data set serves which purpose."""

    pretrain: str
    """Distillation."""
    cls: str
    """Fine-tuning and column cls."""
    det: str
    """Column det."""
    seg: str
    """Column seg."""


class Tolerance(Section):
    """The greatest difference between a measured and a published number, in points, with which it is said to be reproduced.

    Published numbers have one digit after the point: up to 0.05 points are their rounding.
    """

    cls: NonNegativeFloat
    """Top-1 accuracy."""
    det: NonNegativeFloat
    """Box AP."""
    seg: NonNegativeFloat
    """mIoU."""


Evidence = Literal["probes", "analyses", "comparisons", "transfers", "shifts", "adaptations"]
"""Targets beside the table: probes of every stage and teacher, their insides, how like students are, transfer to other sets; classifiers
on sets that are shifted from their own; few-shot classification and linear segmentation by every stage and teacher."""


class Signatures(Section):
    """Who vouches for results: signatures of receipts, which `dbot sign` makes. None of it changes a result."""

    allowed_signers: str = "allowed_signers"
    """The file that lists names and public keys, in the format of ssh-keygen; in the repository, so that it changes by review."""
    required: Literal["none", "results", "all"] = "none"
    """What `dbot verify` fails without: nothing; the signatures of results, which vouch for all behind them; those of all receipts."""


class Build(Section):
    """What a bare `snakemake` builds."""

    rows: list[str]
    """Rows; the others stay `not run` until somebody asks for them."""
    columns: list[Column]
    """Columns."""
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    """Seeds of fine-tuning; a cell shows mean and standard deviation over them."""
    evidence: list[Evidence]
    """What is built beside the table, for its rows; each has a target of its own: `snakemake probes`."""
    sweeps: list[str] = Field(default_factory=list)
    """Sweeps that are built beside it; each has a target of its own: `snakemake sweep_teachers`."""


class Normalisation(Section):
    """Pixel statistics that students see."""

    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    """Mean of the RGB channels, of pixels in 0..1."""
    std: Annotated[list[PositiveFloat], Field(min_length=3, max_length=3)]
    """Standard deviation of the RGB channels."""


class Scale(Section):
    """A scale: what it builds, and what it overrides of everything above."""

    title: str
    """What the scale is for, in one line."""
    extends: str | None = None
    """Another scale, on whose overrides those of this one are laid: only what differs from it is given here."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Sections of this file, with only the keys that differ at this scale."""


Precision = Literal["bf16", "fp16", "fp32"]
Share = Annotated[float, Field(gt=0, le=1)]


class HardwareKind(Section):
    """A kind of device that computes; a job has one process on each of its devices."""

    title: str
    """Name as a person would write it."""
    peak_tflops: dict[Precision, PositiveFloat] = Field(default_factory=dict)
    """Peak of one device in matrix products, by the recipes' precision, in TFLOP/s, without sparsity. Empty: not known."""
    source: str | None = None
    """Where the peaks stand."""
    memory_gb: PositiveFloat | None = None
    """Memory of one device, in GB. Null: whether jobs fit is not looked at."""
    share: dict[str, Share] = Field(default_factory=dict)
    """Share of the peak that a job is assumed to reach, by rule; `any` for rules that are not named.
    A forecast that rests on it says "assumed"."""
    images_per_second: dict[str, dict[str, PositiveFloat]] = Field(default_factory=dict)
    """Throughput of one device as the user knows it, by rule, then by architecture (`any` for all); it takes precedence over
    calibration and share. A forecast that rests on it says "given"."""
    startup_seconds: NonNegativeFloat = 0.0
    """What every job takes before its first step and after its last: imports, weights, compilation."""
    watts: PositiveFloat | None = None
    """Draw of one device while it computes. Null: no energy is forecast."""
    price: PositiveFloat | None = None
    """Price of one hour of one device. Null: no money is forecast."""
    currency: str | None = None
    """What the price is in."""


class Hardware(Section):
    """Kinds of hardware, and the one that jobs are forecast for."""

    use: str
    """Name of the kind that this scale's jobs are forecast for."""
    devices: PositiveInt | None = None
    """Devices that can compute at the same time. Null: as many as there are jobs for."""
    kinds: dict[str, HardwareKind]
    """Hardware by name."""
