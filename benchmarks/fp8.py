"""What a teacher in 8-bit floats would gain and cost: images/s of its forward pass, and how far its targets are off.

Weights and tokens of its blocks' linear layers are rounded to e4m3, each row with a scale of its own, weights once and tokens in
every pass; all else is as it is. Where torch or the device has no such product, the page says so.
"""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import pages
from benchmarks.device import alone, timed
from benchmarks.sides import Numbers, cores, disturbance, in_turns, median, ratio, started
from benchmarks.step import SIZES, crops, pretraining
from dbot.data.transforms import in_unit_range
from dbot.distill.target import normalise_tokens
from dbot.models.teachers.teacher import Teacher

PLAIN, EIGHT = "bf16", "fp8"
OFF = "relative error of the targets"
FLOAT8 = getattr(torch, "float8_e4m3fn", None)
LARGEST = 448.0
"""The largest number of e4m3."""
SMALLEST = 1e-12
"""Least magnitude of a row that is reckoned with, so that one of zeros has a scale."""


class Float8Linear(nn.Module):
    """A frozen linear layer whose product is of 8-bit floats.

    Args:
        layer: whose weights are taken over, rounded.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight, scale = rounded(layer.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().bfloat16())

    def forward(self, tokens: Tensor) -> Tensor:
        """What the layer gives, in bf16."""
        rows, scale = rounded(tokens.flatten(0, -2))
        found: Tensor = torch._scaled_mm(
            rows, self.weight.t(), scale_a=scale, scale_b=self.scale.t(), bias=self.bias, out_dtype=torch.bfloat16, use_fast_accum=True
        )
        return found.unflatten(0, tokens.shape[:-1])


def rounded(rows_RD: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in e4m3, and the scales (R, 1), float32, that give them back."""
    assert FLOAT8 is not None
    scale_R1 = rows_RD.abs().amax(dim=1, keepdim=True).float().clamp(min=SMALLEST) / LARGEST
    return (rows_RD.float() / scale_R1).to(FLOAT8), scale_R1


def in_float8(teacher: Teacher) -> Teacher:
    """A teacher whose blocks' linear layers are in 8 bits, in place."""
    for block in teacher.get_submodule("encoder.blocks").children():
        for part in list(block.modules()):
            for name, child in list(part.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(part, name, Float8Linear(child))
    return teacher


def why_not(device: torch.device) -> str | None:
    """Why there is no product of 8-bit floats here, in torch's words. None: there is one."""
    if FLOAT8 is None or not hasattr(torch, "_scaled_mm"):
        return f"torch {torch.__version__} has no such product"
    try:
        Float8Linear(nn.Linear(32, 32).to(device))(torch.ones(16, 32, device=device))
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        return str(error).strip().splitlines()[0]
    return None


def main() -> None:
    parser = pages.parser("fp8", __doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["B"], help="of the teacher (default: B)")
    parser.add_argument("--batch", type=int, default=128, help="images in a forward pass (default: 128)")
    parser.add_argument("--passes", type=int, default=8, help="forward passes in one measurement (default: 8)")
    args = parser.parse_args()
    title, device = "A teacher in 8 bits", alone(cores()).device
    if (reason := why_not(device)) is not None:
        pages.write(args.output, title, [f"Not available here: {reason}."])
        return
    rows, disturbed = [], []
    modes = (False, True) if device.type == "cuda" else (False,)
    for size in args.sizes:
        common = {"size": size, "batch": args.batch, "passes": args.passes, "threads": cores()}
        sides: dict[str, tuple[str, dict[str, Any]]] = {
            name + ", compiled" * compiled: ("benchmarks.fp8.teacher", {**common, "eight": name == EIGHT, "compiled": compiled})
            for compiled in modes
            for name in (PLAIN, EIGHT)
        }
        with started(sides) as running:
            found = in_turns(running, args.rounds)
        for name, numbers in found.items():
            middle, least, most = ratio(numbers, found[PLAIN + ", compiled" * name.endswith("compiled")], "images_per_second")
            speeds = [f"{median(numbers, 'images_per_second'):.1f}", f"{middle:.2f}", f"{least:.2f} to {most:.2f}"]
            rows.append([f"ViT-{size}", args.batch, name, *speeds, f"{median(numbers, OFF):.2%}"])
        disturbed.append(f"ViT-{size}: {disturbance(found)}")
    notes = (
        f"Medians of {args.rounds} rounds of {args.passes} forward passes of the teacher alone, in turns, each side in a process of its "
        "own; weights are as drawn. The error is the norm of the difference from float32 over the norm, of the normalised targets."
    )
    header = ["teacher", "batch", "side", "images/s", "over bf16", "range", "off"]
    pages.write(args.output, title, [pages.table(header, rows), " ".join([notes, *disturbed])])


def teacher(size: str, batch: int, passes: int, threads: int, eight: bool, compiled: bool) -> Any:
    """A measurement of a teacher's forward pass under autocast to bf16."""
    device = alone(threads).device
    network, _ = pretraining(size, device, {"precision": "fp32"})
    pixels = in_unit_range(crops(size, batch).to(device))
    exact = normalise_tokens(network(pixels).float())
    if eight:
        in_float8(network)
    else:
        network.hold_weights_in(torch.bfloat16)
    if compiled:
        network.compile()

    def run() -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            found: Tensor = network(pixels)
        return found

    off = float((normalise_tokens(run().float()) - exact).norm() / exact.norm())

    def measure() -> Numbers:
        return {**timed(lambda: [run() for _ in range(passes)], passes * batch), OFF: off}

    return measure


if __name__ == "__main__":
    main()
