"""What is forecast of a step beside what is measured: images/s by FLOPs and the assumed share of the peak, and memory of the device.

Trainings that say the most of the paper's table: a stage of distillation and fine-tuning, of each size. `dbot calibrate` replaces the
assumed speeds by measured ones; of the memory this is the only test on a device.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import pages
from benchmarks.device import alone, timed
from benchmarks.sides import Numbers, cores, disturbance, in_turns, median, started
from benchmarks.step import SIZES, architecture, crops, narrow, pretraining
from benchmarks.training import OneStep
from dbot.data.transforms import normalise
from dbot.flops import classifier as classifier_cost
from dbot.flops import encoder_weights, student, student_teacher, student_weights
from dbot.memory import GIGA, Footprint, of_classifier, of_student
from dbot.params.load import DEFAULT_FILE, load
from dbot.params.recipes import AsymmetricPretrain
from dbot.train.task import Step, Task

CLASSES = 1000
TERA = 1e12


def main() -> None:
    parser = pages.parser("forecast", __doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["B"], help="of the networks (default: B)")
    parser.add_argument("--batch", type=int, default=128, help="images in a step (default: 128)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="bf16", help="(default: bf16)")
    parser.add_argument("--steps", type=int, default=4, help="steps in one measurement (default: 4)")
    args = parser.parse_args()
    hardware = load(DEFAULT_FILE, "paper").params.hardware
    kind, rows, disturbed = hardware.kinds[hardware.use], [], []
    for size in args.sizes:
        for verb, (flops, footprint) in expected(size, args.precision).items():
            given = {"size": size, "batch": args.batch, "steps": args.steps, "precision": args.precision, "threads": cores()}
            # One after the other: what one keeps on the device says nothing of the other then.
            with started({verb: (f"benchmarks.forecast.{verb}", given)}) as running:
                found = in_turns(running, args.rounds)
            share = kind.share.get(verb, kind.share.get("any", 0.0))
            speed = kind.peak_tflops[args.precision] * TERA * share / flops
            measured, memory = median(found[verb], "images_per_second"), median(found[verb], "memory_gb")
            most = footprint.peak(args.batch, checkpointing=False, held=False) / GIGA
            compared = [f"{memory:.2f}", f"{memory / most:.2f}"] if torch.cuda.is_available() else ["–", "–"]
            rows.append([verb, f"ViT-{size}", f"{speed:,.0f}", f"{measured:,.1f}", f"{measured / speed:.2f}", f"{most:.2f}", *compared])
            disturbed.append(f"{verb} of ViT-{size}: {disturbance(found)}")
    notes = (
        f"{args.batch} images in a step, {args.precision}, not compiled; medians of {args.rounds} rounds of {args.steps} steps. Forecast "
        f"for {kind.title} (`{hardware.use}` of `hardware.kinds`), at the share of its peak that `share` assumes. Memory is GB of tensors "
        "at their most; measured on a GPU alone, by torch's allocator."
    )
    header = ["job", "network", "images/s forecast", "measured", "over forecast", "memory forecast", "measured", "over forecast"]
    pages.write(args.output, "Forecast and measured", [pages.table(header, rows), " ".join([notes, *disturbed])])


def expected(size: str, precision: str) -> dict[str, tuple[float, Footprint]]:
    """By job, FLOPs of an image and what the training keeps, as `dbot forecast` reckons them."""
    form, recipe = architecture(size), _recipe(size, precision)
    teacher, labelled = student_teacher(form, form.grid), classifier_cost(form, CLASSES)
    distilled = student(form, recipe, form.width).training(precision) + teacher.cost.inference(precision)
    numbers = encoder_weights(form, False, False, True, form.depth) + 2 * form.width + CLASSES * (form.width + 1)
    return {
        "distill": (distilled.total, of_student(form, recipe, student_weights(form, recipe, form.width), teacher.weights)),
        "finetune": (labelled.training(precision).total, of_classifier(form, False, numbers)),
    }


def _recipe(size: str, precision: str) -> AsymmetricPretrain:
    recipe = load(DEFAULT_FILE, "paper").params.recipes.pretrain["asymmetric-B"]
    assert isinstance(recipe, AsymmetricPretrain)
    return recipe.model_copy(update={"precision": precision, **narrow(size)})


def distill(size: str, batch: int, steps: int, precision: str, threads: int) -> Any:
    """A measurement of steps of distillation."""
    device = alone(threads).device
    _, task = pretraining(size, device, {"precision": precision})
    return _steps(task, size, batch, steps, device)


def finetune(size: str, batch: int, steps: int, precision: str, threads: int) -> Any:
    """A measurement of steps of a classifier."""
    from dbot.tasks.classify import classifier_for

    device, params = alone(threads).device, load(DEFAULT_FILE, "paper").params
    recipe = params.recipes.finetune["asymmetric-B"].model_copy(update={"precision": precision, "image_size": None})
    model = classifier_for(architecture(size), recipe, CLASSES, None, recipe.drop_path)

    def loss(wrapped: nn.Module, images: list[Tensor], step: Step) -> Tensor:
        logits = wrapped(normalise(images[0], params.normalisation))
        return functional.cross_entropy(logits.float(), torch.arange(len(logits), device=logits.device) % CLASSES)

    return _steps(Task(f"ViT-{size}", recipe, model, [], loss, seed=0), size, batch, steps, device)


def _steps(task: Task, size: str, batch: int, steps: int, device: torch.device) -> Any:
    step = OneStep(task, [crops(size, batch)], batch, device, rate=1e-4)

    def run() -> None:
        for number in range(steps):
            step(number)

    def measure() -> Numbers:
        return timed(run, steps * batch)

    return measure


if __name__ == "__main__":
    main()
