"""One pre-training step: student forward and backward, teacher forward, optimizer; ours, plain and published in turns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import pages
from benchmarks.device import PEAK, PEAK_SIDE, PRODUCTS, alone, timed
from benchmarks.sides import Numbers, cores, disturbance, in_turns, median, ratio, started
from benchmarks.training import OneStep
from dbot.base.seeds import generator
from dbot.data.transforms import in_unit_range, normalise
from dbot.distill.boundary import begin_stage
from dbot.distill.objective import AsymmetricObjective
from dbot.models.teachers.teacher import Teacher
from dbot.params.load import DEFAULT_FILE, load
from dbot.params.recipes import Decoder
from dbot.params.teachers import Architecture, RandomTeacher
from dbot.tasks.pretrain import settle
from dbot.train.batches import lay_out
from dbot.train.task import Step, Task
from tests.flops.counted import counted

SIZES = {
    "tiny": {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2},
    "Ti": {"image_size": 224, "patch_size": 16, "width": 192, "depth": 12, "heads": 3},
    "S": {"image_size": 224, "patch_size": 16, "width": 384, "depth": 12, "heads": 6},
    "B": {"image_size": 224, "patch_size": 16, "width": 768, "depth": 12, "heads": 12},
    "L": {"image_size": 224, "patch_size": 16, "width": 1024, "depth": 24, "heads": 16},
    "H": {"image_size": 224, "patch_size": 14, "width": 1280, "depth": 32, "heads": 16},
}
RANDOM = RandomTeacher(kind="random", weights="student", depth=None, data="none", licence="none")


def main() -> None:
    parser = pages.parser("step", __doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["S"], help="of the student and its teacher (default: S)")
    parser.add_argument("--batches", nargs="+", type=int, default=[8], help="images in a step (default: 8)")
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16", "fp16"], default=["fp32"], help="(default: fp32)")
    parser.add_argument("--compile", nargs="+", choices=["off", "on"], default=["off"], help="torch.compile; on a GPU alone")
    parser.add_argument("--masks", nargs="+", type=int, default=[1], help="masks of each image (default: 1)")
    parser.add_argument("--steps", type=int, default=2, help="steps in one measurement (default: 2)")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="a checkout of the published repository, branch main")
    args = parser.parse_args()
    if args.reference is not None:
        from benchmarks.published import require

        require(args.reference)

    rows, ratios, disturbed = [], [], []
    for size in args.sizes:
        for batch in args.batches:
            for precision in args.precisions:
                found = _measured(args, size, batch, precision)
                disturbed.append(f"ViT-{size}, {batch}, {precision}: {disturbance(found)}")
                flops, peak = step_flops(size), max(numbers["flops"] for numbers in found.pop(PEAK))
                for name, numbers in found.items():
                    speed = median(numbers, "images_per_second")
                    memory = median(numbers, "memory_gb")
                    # Several masks of an image are more work than is counted.
                    work = ["–", "–"] if name.endswith("masks") else [f"{speed * flops / 1e9:,.0f}", f"{speed * flops / peak:.0%}"]
                    rows.append([f"ViT-{size}", batch, precision, name, f"{speed:.2f}", *work, f"{memory:.2f}"])
                for name in found:
                    if name != "ours":
                        middle, least, most = ratio(found["ours"], found[name], "images_per_second")
                        ratios.append([f"ViT-{size}, {batch}, {precision}", name, f"{middle:.2f}", f"{least:.2f} to {most:.2f}"])
                rows.append([f"ViT-{size}", batch, precision, PEAK, "", f"{peak / 1e9:,.0f}", "100%", ""])
    header = ["model", "batch", "precision", "side", "images/s", "model GFLOP/s", "of the peak (MFU)", "peak memory, GB"]
    notes = (
        f"Medians of {args.rounds} rounds of {args.steps} steps; the sides take turns, each in a process of its own. The work counted is "
        "that of the plain model: all tokens, all samples, attention whole, with or without shortcuts. The peak is the fastest of "
        f"{PRODUCTS * args.rounds} products, taken in turns with the steps, of two {PEAK_SIDE} x {PEAK_SIDE} matrices in the "
        "same precision. Drop path 0.2, gradient norm clipped, "
        "decoder 512 wide and 8 deep, as for B. `plain` is `shortcuts: false`."
    )
    if args.reference is not None:
        notes += " `published` keeps its own precision whatever ours is: float16 by CUDA's autocast on a GPU, float32 on a CPU."
    parts = [pages.table(header, rows), " ".join([notes, *disturbed])]
    if ratios:
        parts += [
            "Images/s of `ours` over those of another side, round by round:",
            pages.table(["step", "over", "median", "range"], ratios),
        ]
    pages.write(args.output, "One pre-training step", parts)


def _measured(args: Any, size: str, batch: int, precision: str) -> dict[str, list[Numbers]]:
    """Measurements of every side by name, `ours` first."""
    common = {"size": size, "batch": batch, "steps": args.steps, "threads": cores()}
    own = {**common, "precision": precision}
    sides: dict[str, tuple[str, dict[str, Any]]] = {"ours": ("benchmarks.step.our_step", own)}
    sides["plain"] = ("benchmarks.step.our_step", {**own, "shortcuts": False})
    if "on" in args.compile:
        sides["compiled"] = ("benchmarks.step.our_step", {**own, "compiled": True})
    for masks in args.masks:
        if masks > 1:
            sides[f"{masks} masks"] = ("benchmarks.step.our_step", {**own, "masks": masks})
    if args.reference is not None:
        published = {**common, "checkout": args.reference}
        sides["published"] = ("benchmarks.step.published_step", {**published, "fused": False})
        sides["published, with fused attention"] = ("benchmarks.step.published_step", {**published, "fused": True})
    sides[PEAK] = ("benchmarks.device.largest_product", {"precision": precision, "threads": cores()})
    with started(sides) as running:
        return in_turns(running, args.rounds)


def our_step(
    size: str, batch: int, steps: int, threads: int, precision: str, shortcuts: bool = True, compiled: bool = False, masks: int = 1
) -> Any:
    """A measurement of our step, on crops as the loader gives them."""
    changes = {"precision": precision, "shortcuts": shortcuts, "masks_per_image": masks}
    device = alone(threads).device
    _, task = pretraining(size, device, changes)
    if compiled:
        for part in task.compiled(task.model):
            part.compile()
    step = OneStep(task, [crops(size, batch)], batch, device, rate=1e-4)

    def run() -> None:
        for number in range(steps):
            step(number)

    return lambda: timed(run, steps * batch)


def pretraining(size: str, device: torch.device, changes: Mapping[str, Any]) -> tuple[Teacher, Task]:
    """The teacher, settled on the device, and the task of the first stage of the recipe for B with some changes, without its images."""
    params = load(DEFAULT_FILE, "paper").params
    recipe = params.recipes.pretrain["asymmetric-B"].model_copy(update={**changes, **narrow(size)})
    student, teacher = begin_stage(architecture(size), recipe, 1, RANDOM, params.normalisation)
    settle(teacher, recipe, device)
    objective = AsymmetricObjective(teacher, recipe)
    patches = student.encoder.patch_embed.num_patches

    def loss(model: nn.Module, batch: list[Tensor], step: Step) -> Tensor:
        pixels = batch[0]
        noise = torch.rand(recipe.masks_per_image * len(pixels), patches, generator=generator(step.number, device=device), device=device)
        return objective(model, normalise(pixels, params.normalisation), noise, in_unit_range(pixels))

    return teacher, Task(f"ViT-{size}", recipe, student, [], loss, seed=0, compiled=lambda wrapped: [wrapped, teacher])


def published_step(size: str, batch: int, steps: int, threads: int, checkout: Path, fused: bool) -> Any:
    """A measurement of the published step, on the same crops, normalised as its loader does."""
    from benchmarks.published import PublishedStep

    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    statistics = load(DEFAULT_FILE, "paper").params.normalisation
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (statistics.mean, statistics.std))
    images = ((crops(size, batch).float() / 255 - mean) / std).to(device)
    form, decoder = architecture(size), narrow(size).get("decoder")
    sizes = {
        "img_size": form.image_size,
        "patch_size": form.patch_size,
        "embed_dim": form.width,
        "depth": form.depth,
        "num_heads": form.heads,
    }
    if decoder is not None:
        sizes |= {"decoder_embed_dim": decoder.width, "decoder_depth": decoder.depth, "decoder_num_heads": decoder.heads}
    published = PublishedStep(checkout, sizes, images, drop_path=0.2, clip_grad=3.0, fused=fused)
    return lambda: timed(lambda: published.run(steps), steps * batch)


def architecture(size: str) -> Architecture:
    return Architecture(title=f"ViT-{size}", mlp_ratio=4, **SIZES[size])


def crops(size: str, batch: int) -> torch.Tensor:
    """Pixels as the loader gives them, uint8 (B, 3, H, W)."""
    side = SIZES[size]["image_size"]
    return torch.randint(0, 256, (batch, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def narrow(size: str) -> dict[str, Any]:
    """A decoder for the size that tests use; the published one for all others."""
    return {"decoder": Decoder(width=32, depth=2, heads=2)} if size == "tiny" else {}


def step_flops(size: str) -> float:
    """Floating-point operations of a step for one image: all matrix products of the plain model, forward and backward."""
    _, task = pretraining(size, torch.device("cpu"), {"shortcuts": False})
    return counted(lambda: task.loss(task.model, [crops(size, 1)], Step(0, 0, lay_out(1, 1, 1, 0))))


if __name__ == "__main__":
    main()
