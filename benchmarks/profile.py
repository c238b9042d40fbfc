"""Where a pre-training step's time goes: its parts by the clock, its operators by torch's profiler."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import pages
from benchmarks.device import PEAK, alone, wait_for_device
from benchmarks.sides import Numbers, cores, disturbance, in_turns, median, started
from benchmarks.step import SIZES, architecture, crops, pretraining
from benchmarks.training import OneStep
from dbot.flops import encoder, student, student_teacher

WHOLE = "the whole step"
TEACHER, ENCODER, DECODER = "teacher, forward", "student's encoder, forward", "student's decoder, forward"
BACKWARD, UPDATE, REST = "student, backward", "gradients clipped, AdamW", "pixels, masks, targets, loss"
PARTS = (TEACHER, ENCODER, DECODER, REST, BACKWARD, UPDATE)


def main() -> None:
    parser = pages.parser("profile", __doc__)
    parser.add_argument("--size", choices=SIZES, default="S", help="of the student and its teacher (default: S)")
    parser.add_argument("--batch", type=int, default=8, help="images in a step (default: 8)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="(default: fp32)")
    parser.add_argument("--steps", type=int, default=2, help="steps in one measurement (default: 2)")
    parser.add_argument("--top", type=int, default=16, help="operators that are named (default: 16)")
    args = parser.parse_args()

    own = {"size": args.size, "batch": args.batch, "precision": args.precision, "steps": args.steps, "threads": cores()}
    sides: dict[str, tuple[str, dict[str, Any]]] = {
        "ours": ("benchmarks.profile.parts", own),
        "plain": ("benchmarks.profile.parts", {**own, "shortcuts": False}),
        "operators": ("benchmarks.profile.operators", own),
        PEAK: ("benchmarks.device.largest_product", {"precision": args.precision, "threads": cores()}),
    }
    with started(sides) as running:
        found = in_turns(running, args.rounds)
    peak = max(numbers["flops"] for numbers in found[PEAK])
    notes = (
        f"ViT-{args.size}, batch {args.batch}, {args.precision}; medians of {args.rounds} rounds of {args.steps} steps, in turns, each "
        "side in a process of its own. `plain` is `shortcuts: false`. GFLOP are the forecast's for the plain model; a part's share of the "
        f"peak is what they make of its time, over the fastest product of two large matrices in the same turns ({peak / 1e9:,.0f} GFLOP/s)."
    )
    operator_notes = (
        "Operators of `ours`, by the time in which they call no other, as torch's profiler sees them on the thread that trains (on a GPU: "
        "on the device). Its own cost is in it."
    )
    pages.write(
        args.output,
        "Where a step's time goes",
        [
            pages.table(["part", "ours, ms", "share", "of the peak", "plain, ms", "GFLOP"], _part_rows(args, found, peak)),
            f"{notes} {disturbance(found)}",
            pages.table(["operator", "ms a step", "share", "calls a step"], _operator_rows(found["operators"], args.top)),
            operator_notes,
        ],
    )


def _part_rows(args: Any, found: dict[str, list[Numbers]], peak: float) -> list[list[str]]:
    work = {name: each * args.batch for name, each in part_flops(args.size).items()}
    work[WHOLE] = sum(work.values())
    whole, rows = median(found["ours"], WHOLE), []
    for name in (*PARTS, WHOLE):
        seconds, plain = median(found["ours"], name), median(found["plain"], name)
        of_peak = f"{work[name] / seconds / peak:.0%}" if name in work else "–"
        gflop = f"{work[name] / 1e9:,.1f}" if name in work else "–"
        rows.append([name, f"{seconds * 1e3:,.1f}", f"{seconds / whole:.1%}", of_peak, f"{plain * 1e3:,.1f}", gflop])
    return rows


def _operator_rows(found: list[Numbers], top: int) -> list[list[str]]:
    """The operators that take most, the others together, and all."""
    medians = {name: median([{name: numbers.get(name, 0.0)} for numbers in found], name) for name in found[0]}
    seconds = {name.removeprefix("s "): value for name, value in medians.items() if name.startswith("s ")}
    order, whole = sorted(seconds, key=seconds.__getitem__, reverse=True), sum(seconds.values())
    rows = [[f"`{name}`", *_timed_row(seconds[name], whole), f"{medians[f'n {name}']:.0f}"] for name in order[:top]]
    rest = sum(seconds[name] for name in order[top:])
    return [*rows, [f"{len(order[top:])} others", *_timed_row(rest, whole), ""], ["all", *_timed_row(whole, whole), ""]]


def _timed_row(seconds: float, whole: float) -> list[str]:
    return [f"{seconds * 1e3:,.1f}", f"{seconds / whole:.1%}"]


def part_flops(size: str) -> dict[str, float]:
    """By part, the plain model's FLOPs of an image."""
    form = architecture(size)
    _, task = pretraining(size, torch.device("cpu"), {})
    recipe, patches = task.recipe, form.grid**2
    whole = student(form, recipe, form.width)
    seen = encoder(form, patches, int(patches * (1 - recipe.mask_ratio))).inference("fp32").total
    forward = whole.inference("fp32").total
    return {
        TEACHER: student_teacher(form, form.grid).cost.inference("fp32").total,
        ENCODER: seen,
        DECODER: forward - seen,
        BACKWARD: whole.training("fp32").total - forward,
    }


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done within it; the device has done it when it ends."""
        wait_for_device()
        begun = time.perf_counter()
        yield
        wait_for_device()
        self.seconds[name] += time.perf_counter() - begun

    def watch(self, module: nn.Module, name: str) -> None:
        """Every forward pass of a module."""
        within: list[Any] = []

        def begin(*_: Any) -> None:
            within.append(self.part(name))
            within[-1].__enter__()

        def end(*_: Any) -> None:
            within.pop().__exit__(None, None, None)

        module.register_forward_pre_hook(begin)
        module.register_forward_hook(end)


def parts(size: str, batch: int, precision: str, steps: int, threads: int, shortcuts: bool = True) -> Any:
    """A measurement of the seconds that each part of a step takes."""
    device = alone(threads).device
    teacher, task = pretraining(size, device, {"precision": precision, "shortcuts": shortcuts})
    step, clock = OneStep(task, [crops(size, batch)], batch, device, rate=1e-4), Clock()
    clock.watch(teacher, "teacher")
    clock.watch(task.model, "student")
    clock.watch(task.model.decoder, "decoder")

    def measure() -> Numbers:
        clock.seconds.clear()
        for number in range(steps):
            with clock.part(WHOLE):
                with clock.part("forward"):
                    loss = step.forward(number)
                with clock.part(BACKWARD):
                    step.backward(loss)
                with clock.part(UPDATE):
                    step.update(number)
        return {name: value / steps for name, value in told_apart(clock.seconds).items()}

    return measure


def told_apart(seconds: dict[str, float]) -> Numbers:
    """Parts that don't overlap, and the whole, from what was measured one within the other."""
    return {
        TEACHER: seconds["teacher"],
        ENCODER: seconds["student"] - seconds["decoder"],
        DECODER: seconds["decoder"],
        REST: seconds["forward"] - seconds["teacher"] - seconds["student"],
        BACKWARD: seconds[BACKWARD],
        UPDATE: seconds[UPDATE],
        WHOLE: seconds[WHOLE],
    }


def operators(size: str, batch: int, precision: str, steps: int, threads: int) -> Any:
    """A measurement of the seconds (`s NAME`) and calls (`n NAME`) of every operator in a step."""
    device = alone(threads).device
    on_gpu = device.type == "cuda"
    _, task = pretraining(size, device, {"precision": precision})
    step = OneStep(task, [crops(size, batch)], batch, device, rate=1e-4)

    def measure() -> Numbers:
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as seen:
            for number in range(steps):
                step(number)
            wait_for_device()
        found: Numbers = {}
        for event in seen.key_averages():
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            if microseconds > 0:
                found[f"s {event.key}"] = microseconds / 1e6 / steps
                found[f"n {event.key}"] = event.count / steps
        return found

    return measure


if __name__ == "__main__":
    main()
