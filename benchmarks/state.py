"""How long the training loop waits for its state: written while it stands still, and copied to be written by a thread.

The share of an epoch is, where a state is written in the foreground at every epoch's end, seconds of writing over those and the epoch's
(`dbot forecast` says how long one takes at paper scale: the rule's images and FLOPs over the peak of its devices, times the share of it
that trainings are taken to reach). Where it is copied every so often (`execution.state_every_seconds`), seconds of copying over that time.
The copy on a GPU goes to main memory that is pinned, at the speed of its bus; here it goes from memory to memory. The thread then writes
beside the training, whose cores it takes a part of where the training has no other device.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import pages
from benchmarks.device import alone
from benchmarks.sides import Numbers, disturbance, in_turns, median, ratio, started
from benchmarks.step import SIZES, pretraining
from dbot.base.digest import file_digest
from dbot.forecast.forecast import forecast
from dbot.params.load import DEFAULT_FILE, load
from dbot.plan import Plan
from dbot.train.optimizer import build_optimizer
from dbot.train.saving import Saver
from dbot.train.state import StateStore

TWICE = "written with the archive's sums, read again for the digest"
WRITTEN = "written, digested meanwhile"
COPIED = "copied"
"""What the loop waits for now."""
BEHIND = "written by the thread"


def main() -> None:
    parser = pages.parser("state", __doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["B"], help="of the student whose state it is (default: B)")
    parser.add_argument("--folder", type=Path, help="where states are written (default: the system's for temporary files)")
    args = parser.parse_args()

    plan, rows, shares = Plan(load(DEFAULT_FILE, "paper")), [], []
    epochs, every = _epochs(plan), plan.params.execution.state_every_seconds
    disturbed = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            sides = {size: ("benchmarks.state.saving", {"size": size, "folder": Path(folder)})}
            with started(sides) as running:
                found = in_turns(running, args.rounds)
        disturbed.append(f"ViT-{size}: {disturbance(found)}")
        numbers = found[size]
        for side in (TWICE, WRITTEN, COPIED, BEHIND):
            middle, least, most = ratio([{"s": one[side]} for one in numbers], [{"s": one[COPIED]} for one in numbers], "s")
            gigabytes = f"{median(numbers, 'bytes') / 1e9:.2f}"
            rows.append([f"ViT-{size}", gigabytes, side, f"{median(numbers, side):.2f}", f"{middle:.1f}", f"{least:.1f} to {most:.1f}"])
        if (epoch := epochs.get(size)) is not None:
            whole, copy = median(numbers, TWICE), median(numbers, COPIED)
            shares.append([f"ViT-{size}", f"{epoch:.1f}", f"{whole / (whole + epoch):.1%}", f"{copy / (copy + every):.2%}"])
    notes = f"Weights and AdamW's moments of a student with its decoder, float32; medians of {args.rounds} rounds, one thread."
    parts = [
        pages.table(["model", "state, GB", "side", "seconds", "over the copy", "range"], rows),
        " ".join([notes, *disturbed]),
    ]
    if shares:
        header = ["model", "epoch at paper scale, s", "share, at every epoch's end", f"share, copied every {every:g} s"]
        parts += [pages.table(header, shares), "Epochs are those of `dbot forecast`; writing and copying are those of this machine."]
    pages.write(args.output, "Keeping the training state", parts)


def _epochs(plan: Plan) -> dict[str, float]:
    """Seconds of a pre-training epoch by size, as forecast."""
    jobs = [one for one in forecast(plan).jobs if one.job.verb == "distill" and one.forecast is not None]
    return {one.job.architecture or "": one.forecast / one.job.settings["recipe"]["epochs"] for one in jobs if one.forecast is not None}


def saving(size: str, folder: Path) -> Any:
    """A measurement of the seconds that each way takes for the state of a student that has taken steps."""
    group = alone(1)
    _, task = pretraining(size, torch.device("cpu"), {})
    model = task.model.to(group.device)
    optimizer = build_optimizer(model, task.recipe.optimizer)
    for parameter in model.parameters():
        if parameter.requires_grad:
            moments = {"exp_avg": torch.randn_like(parameter), "exp_avg_sq": torch.rand_like(parameter)}
            optimizer.state[parameter] = {"step": torch.tensor(1.0), **moments}
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    store = StateStore(folder, keep=1)

    def twice() -> None:
        path = folder / "whole.pt"
        with path.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        file_digest(path)

    def measure() -> Numbers:
        with Saver(store, 0) as saver:
            found = {
                TWICE: _seconds(twice),
                WRITTEN: _seconds(lambda: saver.write(1, state)),
                COPIED: _seconds(lambda: saver.begin(2, state, {})),
                BEHIND: _seconds(saver.wait),
            }
        return {**found, "bytes": max(folder.glob("step-*.pt")).stat().st_size}

    return measure


def _seconds(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
