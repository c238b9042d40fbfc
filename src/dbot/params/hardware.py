"""What `dbot forecast` reckons with: hardware, how fast it is taken to be, what it draws and costs. Nothing here changes a result."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from dbot.params.section import Section

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
