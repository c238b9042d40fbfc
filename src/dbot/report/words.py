"""What the numbers say, in sentences: nothing is claimed that the receipts don't show."""

from collections.abc import Iterable, Sequence

from dbot.params.rows import COLUMNS, Column
from dbot.params.teachers import PackageTeacher, RandomTeacher, RowTeacher, Teacher, TimmTeacher
from dbot.report.table import PUBLISHED_ON, Cell, Line, Table

COLUMN_TITLES: dict[Column, str] = {
    "cls": "classification, top-1 accuracy in %",
    "det": "detection, box AP in %",
    "seg": "segmentation, mIoU in %",
}

HEADS: dict[Column, str] = {"cls": "top-1", "det": "box AP", "seg": "mIoU"}

SHORT: dict[Column, str] = {"cls": "Classification, top-1", "det": "Detection, box AP", "seg": "Segmentation, mIoU"}

BENCHMARKS: dict[Column, str] = {"cls": "ImageNet", "det": "COCO", "seg": "ADE20K"}

PUBLISHED_SETS = "ImageNet-1K, COCO 2017 and ADE20K"


def number(value: float | None) -> str:
    """A percentage as the published table writes it, one digit after the point; empty for None."""
    return "" if value is None else f"{value:.1f}"


def signed(value: float | None) -> str:
    """A difference in points with its sign; empty for None."""
    return "" if value is None else f"{value:+.1f}"


def measured(mean: float | None, sd: float | None) -> str:
    """A measured number, with the deviation over seeds where there is one."""
    return number(mean) if sd is None else f"{number(mean)} ± {number(sd)}"


def control(line: Line, column: Column) -> str:
    """The control's measured number; empty where there is none."""
    return number(line.control[column].measured) if column in line.control else ""


def hours(line: Line) -> str:
    """The hours that a row took, by kind of device; empty where nothing is measured."""
    return " + ".join(f"{value:.2f} {kind}-h" for value, kind in ((line.gpu_hours, "GPU"), (line.cpu_hours, "CPU")) if value is not None)


def to_run(scale: str, targets: Iterable[object]) -> str:
    """The command line that builds some targets: files, or names of rules."""
    return " ".join(("snakemake --cores all --config", f"scale={scale}", "--", *map(str, targets)))


def data_titles(table: Table) -> str:
    """The data sets of a scale, by what they serve."""
    used: dict[str, list[str]] = {}
    for purpose, name in table.params.uses.model_dump().items():
        used.setdefault(table.params.datasets[name].title, []).append(purpose)
    return "; ".join(f"{title} ({', '.join(purposes)})" for title, purposes in used.items())


def published_by(table: Table) -> str:
    """Where the published numbers stand."""
    return "; ".join(dict.fromkeys(line.declared.published.source for line in table.published if line.declared.published is not None))


def standing(table: Table) -> str:
    """What the measured numbers may be compared with."""
    uses, datasets = table.params.uses, table.params.datasets
    foreign = [column for column in COLUMNS if getattr(uses, column) != PUBLISHED_ON[column]]
    own = {column: datasets[getattr(uses, column)] for column in COLUMNS if column not in foreign}
    partial = [column for column, declared in own.items() if declared.limit is not None]
    boxes = [column for column, declared in own.items() if declared.limit is None and declared.boxes_only]
    said = [f"They were measured on the whole of {PUBLISHED_SETS}."]
    if foreign:
        benchmarks = _listed([BENCHMARKS[column] for column in foreign], "or")
        said.append(
            f"Scale {table.scale} measures {_listed(foreign)} on other data with other networks: "
            f"its numbers say nothing about {benchmarks}, and no difference is given."
        )
    if partial:
        said.append(f"Scale {table.scale} measures {_listed(partial)} on a part of those data: no difference is given there.")
    if boxes:
        said.append(f"Scale {table.scale} measures {_listed(boxes)} with a detector of boxes alone: no difference is given there.")
    if table.comparable:
        said.append("Where a difference is given, both are on the same data: measured less published, in points.")
    return " ".join(said)


def seeds(table: Table) -> str:
    """Over how many seeds a cell is measured."""
    count = len(table.params.build.seeds)
    return "One seed of fine-tuning." if count == 1 else f"Mean ± standard deviation over {count} seeds of fine-tuning."


def commits(table: Table) -> str:
    """The commits that the measured numbers came from."""
    return f"measured at commit {', '.join(table.commits)}" if table.commits else "nothing measured yet"


def teachers(table: Table) -> list[str]:
    """Of every first teacher of the table's rows: what it is, what data it saw, and its licence."""
    rows: dict[str, list[str]] = {}
    for line in (*table.published, *table.own):
        if line.first_teacher is not None:
            rows.setdefault(line.first_teacher, []).append(line.name)
    return [_teacher(table, name, names) for name, names in rows.items()]


def _teacher(table: Table, name: str, rows: list[str]) -> str:
    declared = table.params.teachers[name]
    note = f"{declared.note}; " if declared.note else ""
    what = f"{name} ({_kind(declared)}), first teacher of {_listed(rows)}"
    return f"{what}: {note}data it saw: {declared.data}; licence: {declared.licence}."


def _kind(declared: Teacher) -> str:
    if isinstance(declared, RandomTeacher):
        return "never trained"
    if isinstance(declared, RowTeacher):
        return f"the student of row {declared.row}"
    if isinstance(declared, TimmTeacher):
        return f"timm's {declared.model}"
    return declared.network if isinstance(declared, PackageTeacher) else declared.path


def against_control(line: Line, column: Column) -> str:
    """How a row stands beside the same fine-tuning from random weights."""
    where = "" if column == "cls" else f" in {column}"
    same = f"the same fine-tuning from random weights ({line.control[column].row}){where}"
    margin = line.margin(column)
    if margin is None:
        return f"{line.name} can't be set against {same}: {_missing(line, column)}."
    if number(abs(margin)) == "0.0":
        return f"{line.name} equals {same} to the digit shown."
    if margin > 0:
        return f"{line.name} beats {same} by {number(margin)} points."
    return f"{line.name} falls short of {same} by {number(-margin)} points."


def reproduced(table: Table) -> list[str]:
    """How many of the numbers that are measured on the published data reproduce the published ones; nothing where there are none."""
    cells = [cell for line in table.published for cell in line.cells.values() if cell.reproduced is not None]
    allowed = ", ".join(f"{cell.column} {cell.tolerance:g}" for cell in {cell.column: cell for cell in cells}.values())
    count = sum(cell.reproduced is True for cell in cells)
    return [f"{count} of {len(cells)} published numbers are reproduced (points allowed: {allowed})."] if cells else []


def reproductions(table: Table) -> list[str]:
    """For every cell that is measured on the data of its published number, whether it reproduces that, and on how many images."""
    cells = [line.cells[column] for line in table.published for column in COLUMNS]
    return [_reproduction(cell) for cell in cells if cell.reproduced is not None]


def _reproduction(cell: Cell) -> str:
    images = "" if cell.images is None else f" on {cell.images:,} images"
    compared = f"{cell.row}: {HEADS[cell.column]} {measured(cell.measured, cell.sd)}{images}, published {number(cell.published)}"
    verdict = "reproduced" if cell.reproduced else "not reproduced"
    return f"{compared}: {verdict} ({cell.difference:+.2f} points; tolerance {cell.tolerance:g})."


def _missing(line: Line, column: Column) -> str:
    return _listed([f"{cell.row} is {cell.state}" for cell in _pair(line, column) if cell.measured is None])


def _pair(line: Line, column: Column) -> list[Cell]:
    """A row's cell and its control's, where both have the column."""
    pair = [line.cells[column], line.control[column]] if column in line.control else []
    return pair if all(cell.exists for cell in pair) else []


def verdicts(table: Table) -> list[tuple[str, list[Cell]]]:
    """A sentence for every cell that has a control, with the two cells where both are measured.

    Rows that were never run share the last sentence, with the columns where the others were.
    """
    said: list[tuple[str, list[Cell]]] = []
    idle: dict[str, list[str]] = {}
    compared = set()
    for line in table.lines:
        for column in COLUMNS:
            if pair := _pair(line, column):
                if not pair[0].state.is_there:
                    idle.setdefault(line.name, []).append(column)
                else:
                    compared.add(line.name)
                    said.append((against_control(line, column), pair if line.margin(column) is not None else []))
    if idle:
        named = [f"{name} in {_listed(columns)}" if name in compared else name for name, columns in idle.items()]
        said.append((f"Not run yet, so not compared: {_listed(named)}.", []))
    return said


def _listed(parts: Sequence[str], last: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"
