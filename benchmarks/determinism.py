"""Whether a device gives the same bits again: some steps done twice, and once with a stop and a new start in their middle."""

import hashlib
from typing import Any

import torch

from benchmarks import pages
from benchmarks.device import timed
from benchmarks.sides import cores, median, started
from benchmarks.step import SIZES, crops, pretraining
from benchmarks.training import OneStep
from dbot.train.determinism import determinism
from dbot.train.distributed import processes

WHOLE, AGAIN, RESUMED = "whole", "again", "resumed"


def main() -> None:
    parser = pages.parser("determinism", __doc__)
    parser.add_argument("--size", choices=SIZES, default="B", help="of the student and its teacher (default: B)")
    parser.add_argument("--batch", type=int, default=32, help="images in a step (default: 32)")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="bf16", help="(default: bf16)")
    parser.add_argument("--steps", type=int, default=6, help="(default: 6)")
    args = parser.parse_args()
    rows = []
    for mode in (True, False):
        common = {"size": args.size, "batch": args.batch, "precision": args.precision, "steps": args.steps, "exact": mode}
        sides = {name: ("benchmarks.determinism.trained", {**common, "stop": name == RESUMED}) for name in (WHOLE, AGAIN, RESUMED)}
        found = {}
        for name, side in sides.items():  # one after the other: two students and teachers need not fit together
            with started({name: side}) as running:
                found[name] = [running[name].measure()]
        same = {name: "the same bits" if found[name][0]["digest"] == found[WHOLE][0]["digest"] else "others" for name in (AGAIN, RESUMED)}
        rows.append(["true" if mode else "false", same[AGAIN], same[RESUMED], f"{median(found[WHOLE], 'images_per_second'):.1f}"])
    notes = (
        f"ViT-{args.size}, {args.batch} images, {args.precision}: the weights after {args.steps} steps, each time in a new process. "
        "`resumed` keeps its weights and the optimizer's state after half of the steps, and goes on from them in a new student."
    )
    header = ["deterministic", "done again", "resumed", "images/s"]
    pages.write(args.output, "The same bits again?", [pages.table(header, rows), notes])


def trained(size: str, batch: int, precision: str, steps: int, exact: bool, stop: bool) -> Any:
    """A measurement whose `digest` is that of the weights (its first 52 bits, exact as a float)."""
    device = processes("auto", cores()).__enter__().device
    determinism(exact, device).__enter__()  # for good: this process does nothing else

    def begun() -> OneStep:
        torch.manual_seed(0)
        _, task = pretraining(size, device, {"precision": precision})
        return OneStep(task, [crops(size, batch)], batch, device, rate=1e-4)

    def run() -> OneStep:
        step = begun()
        for number in range(steps):
            if stop and number == steps // 2:
                kept = step.model.state_dict(), step.optimizer.state_dict()
                step = begun()
                step.model.load_state_dict(kept[0])
                step.optimizer.load_state_dict(kept[1])
            step(number)
        return step

    def measure() -> dict[str, float]:
        last: list[OneStep] = []
        numbers = timed(lambda: last.append(run()), steps * batch)
        digest = hashlib.sha256()
        for tensor in last[0].model.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return {**numbers, "digest": float(int(digest.hexdigest()[:13], 16))}

    return measure


if __name__ == "__main__":
    main()
