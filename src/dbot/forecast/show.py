"""A forecast as text for a terminal, as CSV and as JSON."""

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dbot.base import durations
from dbot.forecast.calibration import Basis
from dbot.forecast.forecast import Forecast, JobForecast, Sums

NOTHING = "–"
WIDTH = 100
"""Columns of a terminal."""
PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
NOTES = {
    Basis.MEASURED: "it has run",
    Basis.CORRECTED: "forecast, times what the jobs of this rule that have run took over what was forecast of them",
    Basis.GIVEN: "from images_per_second of the hardware in params.yaml",
    Basis.CALIBRATED: "from what `dbot calibrate` measured",
    Basis.ASSUMED: "from FLOPs and the share of the peak that params.yaml assumes",
    Basis.UNKNOWN: "there is no telling",
}
"""What a time is known from."""


def text(forecast: Forecast) -> str:
    """The whole forecast, for a terminal of 100 columns."""
    rules, rows = [*forecast.rules, Sums("in all", forecast.jobs)], forecast.rows
    parts = [_wrapped(_head(forecast)), _table(_planned(forecast, "rule", rules)), _table(_planned(forecast, "row", rows))]
    if forecast.total.done:
        parts += [_table(_beside("rule", rules)), _table(_beside("row", [one for one in rows if one.done]))]
    parts.append(_wrapped(_foot(forecast)))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def summary(forecast: Forecast) -> str:
    """Three lines: what is left amounts to, how long it takes at least, and which rules take it."""
    scale, ran = forecast.plan.scale, forecast.total.done
    forecast = forecast.unfinished
    if not forecast.jobs:
        return (
            f"Forecast of scale {scale}: all {ran} jobs have run; `dbot forecast --scale {scale} --again` says what they would take again\n"
        )
    total, unit = forecast.total, forecast.unit
    rules = sorted((one for one in forecast.rules if one.left_hours), key=lambda one: one.left_hours or 0.0, reverse=True)
    by_rule = ", ".join(f"{one.name} {amount(one.left_hours)}" for one in rules)
    more = f"`dbot forecast --scale {scale}` says more"
    what = f"{len(forecast.jobs)} jobs of scale {scale}" + (f" ({ran} more have run)" if ran else "")
    counted = f"Forecast of {what}: {si(total.images)} images, {si(total.flops)}FLOPs"
    disk = f"checkpoints {size(total.checkpoints)}" + (f", downloads {size(total.downloads)}" if total.downloads else "")
    if total.left_hours is None:
        return f"{counted}; {disk}\n  no telling how long they take on {_device(forecast)}: `snakemake calibrate` measures it; {more}\n"
    hours = f"{_at_least(total)}{amount(total.left_hours)} {unit}"
    return (
        "\n".join(
            [
                f"{counted}, {hours} on {_device(forecast)} ({_bases(total)}){_cost(forecast, total.left_hours)}",
                f"  at least {durations.rough(forecast.wall)} from end to end; a job takes up to {total.allocations} time limits; {disk}",
                f"  {unit} by rule: {by_rule}; {more}",
                *(f"  {line}" for line in _too_large(forecast)),
            ]
        )
        + "\n"
    )


def _too_large(forecast: Forecast) -> Iterator[str]:
    """For each rule and architecture whose jobs are estimated not to fit their GPU, a line that says what would."""
    total, told = forecast.hardware.memory_gb or 0.0, set[tuple[str, str]]()
    for one in forecast.too_large:
        place = (one.job.verb, one.job.architecture)
        if place in told or one.work.memory is None:
            continue
        told.add(place)
        remedies, again = [], not one.asked.checkpointing and one.work.memory.largest_batch(total, True) >= one.asked.batch
        # Where norms count over a forward pass, other numbers of images are the last resort.
        if not (again and one.job.kind.batch_decides) and (fits := one.work.memory.largest_batch(total, bool(one.asked.checkpointing))):
            remedies.append(f"batch_per_process: {fits}")
        if not one.asked.checkpointing and one.work.memory.largest_batch(total, True):
            remedies.append("checkpointing: true")
        what = f"{one.job.name} is estimated to take {size(round(one.gpu_memory or 0))} of a GPU's {total:g} GB"
        mend = f"set resources.{'.'.join(place)}.{' or '.join(remedies)}" if remedies else "it fits in no way; take a GPU with more"
        yield f"warning: {what}: {mend}"


def _head(forecast: Forecast) -> Iterator[str]:
    plan, total, hardware = forecast.plan, forecast.total, forecast.hardware
    ran = sum(one.execution is not None for one in forecast.jobs)
    done = f", of which {ran} have run" + (" and are to run again" if ran > total.done else "") if ran else ""
    yield f"Forecast of scale {plan.scale}: {len(forecast.jobs)} jobs{done}, on {_device(forecast)}"
    for basis in total.known_from:
        jobs = sum(one.known_from is basis for one in forecast.jobs)
        yield f"  {basis:<10} {jobs:>4} jobs: {NOTES[basis]}"
    if Basis.ASSUMED in total.known_from and hardware.peak_tflops:
        peaks = ", ".join(f"{name} {value:g}" for name, value in hardware.peak_tflops.items())
        shares = ", ".join(f"{name} {value:.0%}" for name, value in hardware.share.items())
        yield f"  peak in TFLOP/s: {peaks} ({hardware.source or 'no source given'}); assumed share of it: {shares}"


def _planned(forecast: Forecast, title: str, sums: Sequence[Sums]) -> list[list[str]]:
    """What there is to do, as heads and rows."""
    hardware = forecast.hardware
    heads = [
        title,
        "jobs",
        "images",
        "FLOPs",
        "hours",
        *(["kWh"] if hardware.watts else []),
        *([str(hardware.currency)] if hardware.price else []),
    ]
    rows = [[*heads, "until", *(["limits", "GPU"] if title == "rule" else []), "disk", "from"]]
    for one in sums:
        hours, unknown = one.hours, one.hours is None
        cells = [one.name, str(len(one.jobs)), si(one.images), si(one.flops), amount(hours)]
        cells += [amount(figure) for figure in (forecast.energy(hours), forecast.money(hours)) if figure is not None]
        cells += [NOTHING] * (len(heads) - len(cells))
        memory = max((each.gpu_memory for each in one.jobs if each.gpu_memory is not None), default=None)
        limits = [str(one.allocations or NOTHING), NOTHING if memory is None else size(round(memory))] if title == "rule" else []
        rows.append(
            [*cells, NOTHING if unknown else durations.rough(forecast.chain(one.jobs)), *limits, size(one.checkpoints), _bases(one)]
        )
    return rows


def _beside(title: str, sums: Sequence[Sums]) -> list[list[str]]:
    """Forecast beside actual, as heads and rows; of the jobs that have run."""
    rows = [[title, "done", "forecast", "actual", "ratio", "left"]]
    for one in sums:
        ran = Sums(one.name, tuple(each for each in one.jobs if each.done))
        ratio = NOTHING if one.ratio is None else f"{one.ratio:.2f}"
        rows.append(
            [
                one.name,
                f"{one.done} of {len(one.jobs)}",
                amount(ran.forecast_hours),
                amount(one.actual_hours),
                ratio,
                amount(one.left_hours),
            ]
        )
    return rows


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns of words to the left, of numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = [place for place, head in enumerate(rows[0]) if place == 0 or head == "from"]
    for row in rows:
        cells = (f"{cell:{'<' if place in words else '>'}{wide}}" for place, (cell, wide) in enumerate(zip(row, widths, strict=True)))
        yield "  ".join(cells).rstrip()


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(line.strip(), WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _foot(forecast: Forecast) -> Iterator[str]:
    total, unit, devices = forecast.total, forecast.unit, forecast.plan.params.hardware.devices
    if (hours := total.hours) is not None:
        there = f"{devices} devices" if devices is not None else "as many devices as there are jobs for"
        chain = durations.rough(forecast.chain(forecast.jobs))
        yield f"In all {_at_least(total)}{amount(hours)} {unit}{_cost(forecast, hours)}."
        yield f"From end to end at least {durations.rough(forecast.wall)}, with {there}; the longest chain takes {chain}."
    if total.done:
        left = forecast.unfinished
        rest = left.total.left_hours
        yield f"Left are {amount(rest)} {unit}{_cost(forecast, rest)}, and at least {durations.rough(left.wall)} from end to end."
    states = size(forecast.state)
    yield f"Checkpoints {size(total.checkpoints)}, and as much again in DVC's cache; up to {states} of states beside a running job."
    if total.downloads:
        files = sum(one.work.downloads > 0 and not one.done for one in forecast.jobs)
        yield (
            f"Downloads {size(total.downloads)} into data/released, of {files} released files; of those whose size was not published the "
            "weights alone count, and some hold the state of their training too."
        )
    yield "A row's line holds the jobs that carry its name; what they need of other rows stands in theirs."
    yield "hours: of one device, which one process uses. until: end of the longest chain of jobs that leads here, queues aside."
    yield "limits: time limits (resources.minutes) that the longest of the jobs needs, one after the other."
    if any(one.gpu_memory for one in forecast.jobs):
        yield "GPU: memory that the largest of a rule's trainings is estimated to take of one device."
    yield from _too_large(forecast)
    if left_out := sorted({name for one in forecast.jobs for name in one.work.left_out}):
        yield f"Not in the FLOPs: {', '.join(left_out)}."
    if unknown := total.unknown:
        verbs = ", ".join(dict.fromkeys(one.job.verb for one in unknown))
        yield f"No telling how long {len(unknown)} jobs take ({verbs}): they count as 0. `snakemake calibrate` measures trainings."


def csv_text(forecast: Forecast) -> str:
    """A line for every job, rule and row, and for all together."""
    out = io.StringIO()
    records = list(_records(forecast))
    writer = csv.DictWriter(out, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in record.items()} for record in records)
    return out.getvalue()


def json_text(forecast: Forecast) -> str:
    """The same figures, and the hardware."""
    hardware = forecast.hardware
    content = {
        "scale": forecast.plan.scale,
        "hardware": {"name": forecast.plan.params.hardware.use, **hardware.model_dump()},
        "calibrated_on": forecast.calibration.devices,
        "wall_seconds": round(forecast.wall, 1),
        "state_bytes": forecast.state,
        "figures": list(_records(forecast)),
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _records(forecast: Forecast) -> Iterator[dict[str, Any]]:
    for one in forecast.jobs:
        yield _record(forecast, "job", one.job.name, Sums(one.job.name, (one,)), one)
    for kind, sums in (("rule", forecast.rules), ("row", forecast.rows), ("all", [forecast.total])):
        for each in sums:
            yield _record(forecast, kind, each.name, each)


def _record(forecast: Forecast, kind: str, name: str, sums: Sums, one: JobForecast | None = None) -> dict[str, Any]:
    return {
        "of": kind,
        "name": name,
        "jobs": len(sums.jobs),
        "done": sums.done,
        "images": sums.images,
        "flops": sums.flops,
        "forecast_hours": _rounded(sums.forecast_hours),
        "actual_hours": _rounded(sums.actual_hours),
        "ratio": _rounded(sums.ratio),
        "left_hours": _rounded(sums.left_hours),
        "hours": _rounded(sums.hours),
        "chain_seconds": _rounded(forecast.chain(sums.jobs)),
        "seconds": _rounded(one.seconds) if one is not None else None,
        "devices": one.devices if one is not None else None,
        "gpu_memory_bytes": _rounded(one.gpu_memory) if one is not None else None,
        "allocations": sums.allocations or None,
        "checkpoint_bytes": sums.checkpoints,
        "download_bytes": sums.downloads,
        "money": _rounded(forecast.money(sums.hours)),
        "currency": forecast.hardware.currency,
        "kwh": _rounded(forecast.energy(sums.hours)),
        "known_from": " ".join(sums.known_from),
        "without": len(sums.unknown),
        "left_out": "; ".join(sorted({name for each in sums.jobs for name in each.work.left_out})),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _device(forecast: Forecast) -> str:
    measured = forecast.calibration.devices
    on = f" (calibrated on {', '.join(measured)})" if measured else ""
    return f"{forecast.hardware.title}{on}"


def _bases(sums: Sums) -> str:
    """What the times of those that are left are known from or, without any, of those that have run."""
    left = Sums(sums.name, tuple(one for one in sums.jobs if not one.done)) if sums.done < len(sums.jobs) else sums
    known = [basis for basis in left.known_from if basis is not Basis.UNKNOWN] or left.known_from
    return ", ".join(known)


def _at_least(sums: Sums) -> str:
    return "at least " if sums.unknown else ""


def _cost(forecast: Forecast, hours: float | None) -> str:
    money, energy = forecast.money(hours), forecast.energy(hours)
    parts = []
    if money is not None:
        parts.append(f"{amount(money)} {forecast.hardware.currency}")
    if energy is not None:
        parts.append(f"{amount(energy)} kWh at {forecast.hardware.watts:g} W a device")
    return f", {', '.join(parts)}" if parts else ""


def si(value: float | None) -> str:
    """A number with three digits and a prefix, as ``12.3 G``."""
    if value is None:
        return NOTHING
    power = 0
    while value >= 999.5 and power < len(PREFIXES) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {PREFIXES[power]}".rstrip()


def amount(value: float | None) -> str:
    """Hours, money or energy: three digits at least, thousands apart."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(count: int) -> str:
    """Bytes, as ``12.3 GB``."""
    return f"{si(count)}B" if count >= 1000 else f"{count} B"
