"""One pre-training step: student forward and backward, teacher forward, optimizer; ours, plain and published in turns."""

import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import pages
from benchmarks.sides import Numbers, cores, in_turns, median, ratio, started
from dbot.params.architectures import Architecture
from dbot.params.load import DEFAULT_FILE, load

SIZES = {
    "tiny": {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2},
    "Ti": {"image_size": 224, "patch_size": 16, "width": 192, "depth": 12, "heads": 3},
    "S": {"image_size": 224, "patch_size": 16, "width": 384, "depth": 12, "heads": 6},
    "B": {"image_size": 224, "patch_size": 16, "width": 768, "depth": 12, "heads": 12},
    "L": {"image_size": 224, "patch_size": 16, "width": 1024, "depth": 24, "heads": 16},
    "H": {"image_size": 224, "patch_size": 14, "width": 1280, "depth": 32, "heads": 16},
}
PEAK_SIDE = 4096
"""Of the square matrices whose product is taken for the device's peak."""
PRODUCTS = 3
"""Of them in a measurement."""
PEAK = "largest matrix product"


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

    rows, ratios = [], []
    for size in args.sizes:
        for batch in args.batches:
            for precision in args.precisions:
                found = _measured(args, size, batch, precision)
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
    parts = [pages.table(header, rows), notes]
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
    sides[PEAK] = ("benchmarks.step.largest_product", {"precision": precision, "threads": cores()})
    with started(sides) as running:
        return in_turns(running, args.rounds)


def our_step(
    size: str, batch: int, steps: int, threads: int, precision: str, shortcuts: bool = True, compiled: bool = False, masks: int = 1
) -> Any:
    """A measurement of our step: the pieces of `dbot.train.loop`, on crops as the loader gives them."""
    from dbot.distill.boundary import begin_stage
    from dbot.distill.objective import AsymmetricObjective
    from dbot.params.teachers import RandomTeacher
    from dbot.train.distributed import processes
    from dbot.train.loop import Meter, _update
    from dbot.train.optimizer import build_optimizer
    from dbot.train.precision import autocast_type
    from dbot.train.randomness import generator, seed_step
    from dbot.train.schedule import set_rate

    context = processes("auto", threads)
    device = context.__enter__().device
    params = load(DEFAULT_FILE, "paper").params
    changes = {"precision": precision, "shortcuts": shortcuts, "masks_per_image": masks}
    recipe = params.recipes.pretrain["asymmetric-B"].model_copy(update=changes | _narrow(size))
    random = RandomTeacher(kind="random", weights="student", depth=None, data="none", licence="none")
    student, teacher = begin_stage(architecture(size), recipe, 1, random, params.normalisation)
    student.to(device).train()
    teacher.to(device)
    if compiled:
        student.compile()
    objective = AsymmetricObjective(teacher, recipe)
    optimizer = build_optimizer(student, recipe.optimizer, fused=recipe.shortcuts)
    autocast = autocast_type(precision)
    scaler = torch.amp.GradScaler(device.type, enabled=autocast is torch.float16)
    pixels = crops(size, batch).to(device)
    meter = Meter.new(device)
    patches = student.encoder.patch_embed.num_patches

    def step(number: int) -> None:
        set_rate(optimizer, 1e-4)
        seed_step(0, "step", number)
        noise = torch.rand(masks * batch, patches, generator=generator(number, device=device), device=device)
        with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
            images = pixels.float() / 255
            normalised = (images - teacher.mean) / teacher.std
            loss = objective(student, normalised, noise, images)
            scaler.scale(loss).backward()
        _update(optimizer, scaler, student, recipe.optimizer.clip_grad, recipe.non_finite, meter)

    def run() -> None:
        for number in range(steps):
            step(number)

    # The processes' settings last as long as this measurement can be made.
    run.context = context  # type: ignore[attr-defined]
    return lambda: _timed(run, steps * batch)


def published_step(size: str, batch: int, steps: int, threads: int, checkout: Path, fused: bool) -> Any:
    """A measurement of the published step, on the same crops, normalised as its loader does."""
    from benchmarks.published import PublishedStep

    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    statistics = load(DEFAULT_FILE, "paper").params.normalisation
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (statistics.mean, statistics.std))
    images = ((crops(size, batch).float() / 255 - mean) / std).to(device)
    form, decoder = architecture(size), _narrow(size).get("decoder")
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
    return lambda: _timed(lambda: published.run(steps), steps * batch)


def _timed(run: Any, images: int) -> Numbers:
    import resource

    on_gpu = torch.cuda.is_available()
    begun = time.perf_counter()
    run()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begun
    used = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"images_per_second": images / seconds, "memory_gb": used / 1e9}


def architecture(size: str) -> Architecture:
    return Architecture(title=f"ViT-{size}", mlp_ratio=4, **SIZES[size])


def crops(size: str, batch: int) -> torch.Tensor:
    """Pixels as the loader gives them, uint8 (B, 3, H, W)."""
    side = SIZES[size]["image_size"]
    return torch.randint(0, 256, (batch, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def _narrow(size: str) -> dict[str, Any]:
    """A decoder for the size that tests use; the published one for all others."""
    from dbot.params.recipes import Decoder

    return {"decoder": Decoder(width=32, depth=2, heads=2)} if size == "tiny" else {}


def step_flops(size: str) -> float:
    """Floating-point operations of a step for one image: all matrix products of the plain model, forward and backward."""
    from timm.layers import set_fused_attn

    from dbot.distill.boundary import begin_stage
    from dbot.distill.objective import AsymmetricObjective
    from dbot.params.teachers import RandomTeacher

    params = load(DEFAULT_FILE, "paper").params
    recipe = params.recipes.pretrain["asymmetric-B"].model_copy(update={"shortcuts": False, **_narrow(size)})
    random = RandomTeacher(kind="random", weights="student", depth=None, data="none", licence="none")
    set_fused_attn(False)  # the counter sees products, not every fused kernel
    try:
        student, teacher = begin_stage(architecture(size), recipe, 1, random, params.normalisation)
    finally:
        set_fused_attn(True)
    images = crops(size, 1).float() / 255
    with FlopCounterMode(display=False) as counter:
        objective = AsymmetricObjective(teacher, recipe)
        objective(student, images, torch.rand(1, student.encoder.patch_embed.num_patches), images).backward()
    return float(counter.get_total_flops())


def largest_product(precision: str, threads: int) -> Any:
    """A measurement of the device's fastest product of two large matrices, in operations a second."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    one = torch.rand(PEAK_SIDE, PEAK_SIDE, device=device).to(kind)

    def measure() -> Numbers:
        best = 0.0
        for _ in range(PRODUCTS):
            begun = time.perf_counter()
            one @ one
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * PEAK_SIDE**3 / (time.perf_counter() - begun))
        return {"flops": best}

    return measure


if __name__ == "__main__":
    main()
