"""The tables of several places side by side: checkouts, bundles, revisions; and of each cell that differs, what differs behind it.

Of two cells the chains are compared job by job: what a receipt says decided its result (parameters, code, data, environment), and what
its execution says of the hardware. What is said first is nearest to the data.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from dbot.jobs.evaluate import EVALUATE
from dbot.jobs.fetch import FETCH
from dbot.jobs.kind import kinds
from dbot.lineage.receipt import Receipt, differences
from dbot.lineage.records import SHORT, Chain, Records
from dbot.params.rows import COLUMNS, Column
from dbot.report.table import RESULT, percentage


class What(StrEnum):
    """What differs behind two results, in the order in which it is told."""

    PARAMETERS = "parameters"
    CODE = "code"
    DATA = "data"
    ENVIRONMENT = "environment"
    """Versions of what computes, the kind of device, the number of processes, the hardware."""
    FILES = "files"
    """What came out: not the same bytes."""
    NOTHING = "nothing on record"
    """Parameters, code, data, environment and inputs are the same, and the result is not."""


@dataclass(frozen=True)
class Difference:
    """One thing that differs, in all the jobs in which it does so alike."""

    what: What
    key: str
    was: str
    now: str
    jobs: tuple[str, ...]

    @property
    def told(self) -> str:
        """Where it differs, in a few words."""
        return self.jobs[0] if len(self.jobs) == 1 else f"{len(self.jobs)} jobs"


@dataclass(frozen=True)
class Measured:
    """A cell as one place has it."""

    seeds: Mapping[int, Receipt]
    values: Mapping[int, float]
    """By seed, in %; without those whose receipt holds no number between 0 and 100."""
    lost: str | None
    """Why the number can't be traced there; None: it can."""

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over the seeds, in points; None for fewer than two."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None


class State(StrEnum):
    """How a cell of one place stands beside that of the first."""

    SAME = "same receipts"
    EQUAL = "same number"
    """From other receipts."""
    OTHER = "other number"
    ONE_SIDE = "one side only"


@dataclass(frozen=True)
class Beside:
    """A cell of a place compared with that of the first."""

    state: State
    seeds: tuple[int, ...]
    """Those that both have."""
    difference: float | None
    """Of the means over these seeds, in points; None where there is none."""
    differences: tuple[Difference, ...]

    @property
    def kinds(self) -> list[What]:
        return [what for what in What if any(one.what is what for one in self.differences)]


@dataclass(frozen=True)
class Cell:
    """One cell of the tables."""

    scale: str
    row: str
    column: Column
    at: tuple[Measured | None, ...]
    """By place; None where it has no receipt of it."""
    beside: tuple[Beside, ...]
    """By place, from the second on."""

    @property
    def differs(self) -> bool:
        return any(each.state is not State.SAME for each in self.beside)

    @property
    def state(self) -> State:
        """The farthest from the same."""
        return max((each.state for each in self.beside), key=list(State).index)

    @property
    def kinds(self) -> list[What]:
        return [what for what in What if any(what in each.kinds for each in self.beside)]


@dataclass(frozen=True)
class Tables:
    """The tables of some places."""

    places: tuple[Records, ...]
    cells: tuple[Cell, ...]

    @cached_property
    def letters(self) -> list[str]:
        """What the places are called: A, B, …"""
        return [chr(ord("A") + number) for number in range(len(self.places))]

    def count(self, state: State) -> int:
        return sum(cell.state is state for cell in self.cells)


def build(places: Sequence[Records], scale: str | None = None) -> Tables:
    """The tables of some places, the first of which the others are compared with.

    Args:
        places: two or more.
        scale: whose cells; None: all that there are.
    """
    found: dict[tuple[str, str, Column], list[dict[int, Receipt]]] = {}
    for number, place in enumerate(places):
        for receipt in place.of(EVALUATE.name):
            column = next((each for each in COLUMNS if each == receipt.key.get("column")), None)
            if column is not None and scale in (None, receipt.scale):
                at = found.setdefault((receipt.scale, receipt.key["row"], column), [{} for _ in places])
                at[number][int(receipt.key["seed"])] = receipt
    cells = [_cell(places, *name, at) for name, at in sorted(found.items(), key=lambda item: (*item[0][:2], COLUMNS.index(item[0][2])))]
    return Tables(tuple(places), tuple(cells))


def _cell(places: Sequence[Records], scale: str, row: str, column: Column, at: Sequence[dict[int, Receipt]]) -> Cell:
    chains = [{seed: place.chain(receipt) for seed, receipt in sorted(seeds.items())} for place, seeds in zip(places, at, strict=True)]
    measured = [_measured(column, seeds, of) if seeds else None for seeds, of in zip(at, chains, strict=True)]
    beside = [_beside(places[0], place, chains[0], of, measured[0], one) for place, of, one in zip(places, chains, measured, strict=True)]
    return Cell(scale, row, column, tuple(measured), tuple(beside[1:]))


def _measured(column: Column, seeds: Mapping[int, Receipt], chains: Mapping[int, Chain]) -> Measured:
    values = {seed: value for seed, receipt in sorted(seeds.items()) if (value := percentage(receipt, RESULT[column])) is not None}
    return Measured(dict(sorted(seeds.items())), values, next((chain.lost for chain in chains.values() if chain.lost), None))


def _beside(
    first: Records, place: Records, was: Mapping[int, Chain], now: Mapping[int, Chain], one: Measured | None, other: Measured | None
) -> Beside:
    if one is None or other is None:
        return Beside(State.ONE_SIDE if one or other else State.SAME, (), None, ())
    seeds = tuple(seed for seed in was if seed in now)
    both = [seed for seed in seeds if seed in one.values and seed in other.values]
    difference = statistics.fmean(other.values[seed] - one.values[seed] for seed in both) if both else None
    same = one.seeds.keys() == other.seeds.keys() and all(one.seeds[seed].id == other.seeds[seed].id for seed in seeds)
    if same and one.lost == other.lost:
        return Beside(State.SAME, seeds, difference, ())
    # Without a seed in common the first ones are looked at: that the seeds differ is then among what is said.
    pairs = [(was[seed], now[seed]) for seed in seeds] or [(next(iter(was.values())), next(iter(now.values())))]
    found: dict[tuple[What, str, str, str], dict[str, None]] = {}
    for left, right in pairs:
        for what, key, before, after, job in _differences(first, place, left, right):
            found.setdefault((what, key, before, after), {})[job] = None
    told = [Difference(*name, tuple(jobs)) for name, jobs in found.items()]
    state = State.EQUAL if one.values == other.values else State.OTHER
    return Beside(state, seeds, difference, tuple(sorted(told, key=lambda each: list(What).index(each.what))))


Told = tuple[What, str, str, str, str]
"""What differs, its key, both values, and the job."""


def _differences(first: Records, place: Records, was: Chain, now: Chain) -> Iterator[Told]:
    """What differs between two chains, from the data on."""
    for name in reversed([*was.receipts, *(name for name in now.receipts if name not in was.receipts)]):
        one, other = was.receipts.get(name), now.receipts.get(name)
        if one is None or other is None:
            yield What.PARAMETERS, "job", "there" if one else "not there", "there" if other else "not there", name
        elif one.id != other.id:
            yield from ((*told, name) for told in _of_job(first, place, one, other))
    if was.lost != now.lost:
        yield What.DATA, "lineage", was.lost or "whole", now.lost or "whole", next(iter(was.receipts))


def _of_job(first: Records, place: Records, one: Receipt, other: Receipt) -> Iterator[tuple[What, str, str, str]]:
    """What differs between two receipts of a job; nothing where only what they were made from does."""
    decided = [*_parameters(one, other), *_environment(one, other)]
    if one.code != other.code:
        decided.append((What.CODE, "src/dbot", _code(first, one), _code(place, other)))
    yield from decided
    yield from _data(one, other)
    hardware = [_hardware(at, receipt) for at, receipt in ((first, one), (place, other))]
    yield from ((What.ENVIRONMENT, key, _text(before), _text(after)) for key, before, after in differences(*hardware))
    same_inputs = {role: each.id for role, each in one.inputs.items()} == {role: each.id for role, each in other.inputs.items()}
    files = [name for name in one.artifacts if name in other.artifacts and one.artifacts[name] != other.artifacts[name]]
    yield from ((What.FILES, name, "some bytes", "others") for name in files)
    if not decided and same_inputs:
        found = list(differences(one.results, other.results))
        yield from ((What.NOTHING, key, _text(was), _text(now)) for key, was, now in found)
        if not found:
            yield What.NOTHING, "files", "some bytes", "others"


def _parameters(one: Receipt, other: Receipt) -> Iterator[tuple[What, str, str, str]]:
    yield from ((What.PARAMETERS, key, _text(was), _text(now)) for key, was, now in differences(one.settings, other.settings))
    roles = [{role: each.path for role, each in receipt.inputs.items()} for receipt in (one, other)]
    yield from ((What.PARAMETERS, key, _text(was), _text(now)) for key, was, now in differences(*roles))


def _environment(one: Receipt, other: Receipt) -> Iterator[tuple[What, str, str, str]]:
    said = [{**receipt.environment, "device": receipt.device, "processes": receipt.processes} for receipt in (one, other)]
    yield from ((What.ENVIRONMENT, key, _text(was), _text(now)) for key, was, now in differences(*said))


def _data(one: Receipt, other: Receipt) -> Iterator[tuple[What, str, str, str]]:
    """Of a data set all that was counted; elsewhere the weights that came from outside."""
    kind = kinds().get(one.verb)
    named = one.results.keys() | other.results.keys() if kind is not None and (kind.is_data or kind is FETCH) else {"teacher_sha256"}
    if one.settings.get("teacher") != other.settings.get("teacher") or one.settings.get("teacher", {}).get("kind") == "random":
        named = named - {"teacher_sha256"}  # another teacher by the parameters, or one that they draw
    said = [{key: value for key, value in receipt.results.items() if key in named} for receipt in (one, other)]
    yield from ((What.DATA, key, _text(was), _text(now)) for key, was, now in differences(*said))


def _code(place: Records, receipt: Receipt) -> str:
    return f"{receipt.code[:SHORT]} ({place.commits.get(receipt.code, 'no execution')})"


def _hardware(place: Records, receipt: Receipt) -> dict[str, Any]:
    """Processor, cores and driver of the last attempt at a receipt; nothing where no execution says."""
    execution = place.executions.get(receipt.id)
    said = (execution.attempts[-1].hardware or {}) if execution is not None and execution.attempts else {}
    return {key: said[key] for key in ("processor", "cores", "driver") if key in said}


def _text(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text[:SHORT] if len(text) == 64 and text.isalnum() else text
