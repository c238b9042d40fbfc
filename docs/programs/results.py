"""Write what a scale has measured into README.md and docs/demo.md, each table between markers of its own.

`python docs/programs/results.py results/demo` first copies the CSV files that `dbot table`, `dbot probes`, `dbot transfers` and
`dbot sweep` wrote from receipts into docs/measured, and sums the executions up in jobs.csv beside them. Without a folder the pages
are filled from docs/measured as it is.
"""

import csv
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
MEASURED = PROJECT / "docs" / "measured"
PAGES = (PROJECT / "README.md", PROJECT / "docs" / "demo.md")
COPIED = {"table.csv": "table.csv", "probes.csv": "probes.csv", "transfers.csv": "transfers.csv", "teachers.csv": "sweeps/teachers.csv"}
"""By name in docs/measured, the file below a scale's results."""
COLUMNS = {"cls": "top-1", "det": "box AP", "seg": "mIoU"}
END = "<!-- end -->"
NONE = "–"

Record = Mapping[str, str]


def begin(name: str) -> str:
    """The marker above a table."""
    return f"<!-- {name}, written by `make docs-results` from docs/measured -->"


def take(results: Path, measured: Path = MEASURED) -> None:
    """Copy what a scale's receipts showed, and sum its executions up."""
    for name, source in COPIED.items():
        shutil.copyfile(results / source, measured / name)
    executions = [json.loads(path.read_text()) for path in sorted(results.rglob("executions/*.json"))]
    with (measured / "jobs.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "jobs", "cpu_seconds", "longest", "peak_mb", "processor", "cores", "commits", "first", "last"])
        for kind in sorted({execution["command"][1] for execution in executions}):
            writer.writerow(_summed(kind, [execution for execution in executions if execution["command"][1] == kind]))


def _summed(kind: str, executions: Sequence[Mapping[str, Any]]) -> list[str]:
    attempts = [attempt for execution in executions for attempt in execution["attempts"]]
    took = [sum(attempt["cpu_seconds"] for attempt in execution["attempts"]) for execution in executions]
    return [
        kind,
        str(len(executions)),
        f"{sum(took):.0f}",
        f"{max(took):.0f}",
        f"{max(attempt['peak_mb'] for attempt in attempts):.0f}",
        " and ".join(sorted({attempt["hardware"]["processor"] for attempt in attempts})),
        " and ".join(sorted({str(attempt["hardware"]["cores"]) for attempt in attempts})),
        " ".join(sorted({execution["commit"][:7] for execution in executions if execution["commit"]})),
        min(attempt["started"] for attempt in attempts)[:10],
        max(execution["ended"] for execution in executions)[:10],
    ]


def read(name: str, measured: Path = MEASURED) -> list[Record]:
    """The lines of a file of docs/measured; none where the demo was not measured so far."""
    path = measured / name
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def conditions(measured: Path = MEASURED) -> str:
    """Where, when and by which code the numbers came about."""
    jobs = read("jobs.csv", measured)
    if not jobs:
        return ""
    first, last = min(job["first"] for job in jobs), max(job["last"] for job in jobs)
    commits = sorted({commit for job in jobs for commit in job["commits"].split()})
    minutes = sum(float(job["cpu_seconds"]) for job in jobs) / 60
    return (
        f"{jobs[0]['cores']} cores of an {jobs[0]['processor']}, {first if first == last else f'{first} to {last}'}, commit "
        f"{', '.join(commits)}: {sum(int(job['jobs']) for job in jobs)} jobs, {minutes:.0f} minutes of CPU time, {_seeds(measured)}."
    )


def _seeds(measured: Path) -> str:
    most = max((int(row.get("cls_seeds") or 1) for row in read("table.csv", measured)), default=1)
    return "one seed" if most == 1 else f"mean of {most} seeds ± standard deviation"


def table(measured: Path = MEASURED) -> str:
    """Rows of the published table: what the demo measured, ± standard deviation where there are several seeds, beside the control."""
    heads = ["row", "teacher", *(name for head in COLUMNS.values() for name in (head, "control"))]
    rows = [row for row in read("table.csv", measured) if row["cls_control"]]
    cells = [[cell for name in COLUMNS for cell in (_measured(row, name), _number(row[f"{name}_control"]))] for row in rows]
    return _grid(heads, [[row["row"], row["teacher"], *found] for row, found in zip(rows, cells, strict=True)], text=2)


def margins(measured: Path = MEASURED) -> str:
    """What pre-training is worth in points, by row and column, and the masks' AP."""
    rows = [row for row in read("table.csv", measured) if row["cls_control"]]
    return _grid(
        ["row", *COLUMNS.values(), "mask AP"],
        [[row["row"], *(_signed(row[f"{name}_margin"]) for name in COLUMNS), _number(row["det_mask_ap"])] for row in rows],
    )


def ahead(measured: Path = MEASURED) -> str:
    """In how many rows pre-training pays, by column."""
    rows = [row for row in read("table.csv", measured) if row["cls_control"]]
    found = {head: [float(row[f"{name}_margin"]) for row in rows if row[f"{name}_margin"]] for name, head in COLUMNS.items()}
    counts = [f"{sum(margin > 0 for margin in each)} of {len(each)} rows in {head}" for head, each in found.items() if each]
    return f"Ahead of their controls are {', '.join(counts)}."


def probes(measured: Path = MEASURED) -> str:
    """What frozen features hold, stage by stage."""
    rows = [row for row in read("probes.csv", measured) if row["status"] == "measured"]
    names = [name for name in (rows[0] if rows else {}) if name.startswith("knn_") or name == "linear"]
    heads = ["row", "stage", "network", *(f"k-NN, k = {name[4:]}" if name.startswith("knn_") else name for name in names)]
    return _grid(heads, [[row["row"], row["stage"], row["network"], *(_number(row[name]) for name in names)] for row in rows], text=3)


def transfers(measured: Path = MEASURED) -> str:
    """Rows on sets that their pre-training has not seen, each with its margin over the control."""
    found = [row for row in read("transfers.csv", measured) if row["status"] == "measured" and row["margin"]]
    sets = list(dict.fromkeys(row["dataset"] for row in found))
    by_place = {(row["row"], row["dataset"]): row for row in found}
    heads = ["row", *(head for name in sets for head in (name, "margin"))]
    rows = dict.fromkeys(row["row"] for row in found)
    lines = [[row, *(cell for name in sets for cell in _transferred(by_place.get((row, name))))] for row in rows]
    return _grid(heads, lines)


def _transferred(found: Record | None) -> tuple[str, str]:
    return (NONE, NONE) if found is None else (_with_spread(found["top1"], found["sd"]), _signed(found["margin"]))


def teachers(measured: Path = MEASURED) -> str:
    """The sweep of teachers: top-1 after so many stages, and how far apart the teachers' students are."""
    rows = [row for row in read("teachers.csv", measured) if row["column"] == "cls"]
    stages = sorted({row["stages"] for row in rows}, key=int)
    variants = list(dict.fromkeys(row["variant"] for row in rows if row["variant"] != "all variants"))
    found = {(row["variant"], row["stages"]): row for row in rows}
    lines = [[name, *(_of_sweep(found.get((name, stage))) for stage in stages)] for name in variants]
    apart = [_number(found[("all variants", stage)]["sd"]) if ("all variants", stage) in found else NONE for stage in stages]
    return _grid(["first teacher", *(f"{stage} stages" for stage in stages)], [*lines, ["standard deviation over teachers", *apart]])


def _of_sweep(row: Record | None) -> str:
    return NONE if row is None else _with_spread(row["measured"], row["sd"])


def jobs(measured: Path = MEASURED) -> str:
    """What the jobs of each kind took."""
    lines = [[job["kind"], job["jobs"], job["cpu_seconds"], job["longest"], job["peak_mb"]] for job in read("jobs.csv", measured)]
    return _grid(["kind of job", "jobs", "CPU seconds in all", "the longest", "most memory in MB"], lines)


PARTS: Mapping[str, Callable[[Path], str]] = {
    "The demo's table": table,
    "Its conditions": conditions,
    "Margins": margins,
    "Verdict": ahead,
    "Probes": probes,
    "Transfers": transfers,
    "Teachers": teachers,
    "Jobs": jobs,
}


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]], text: int = 1) -> str:
    """A Markdown table; all but the first columns are numbers. Nothing where there are no rows."""
    if not rows:
        return "Not measured with the recipes of today."
    written = [f"| {' | '.join(row)} |" for row in [heads, *rows]]
    return "\n".join([written[0], "|" + "---|" * text + "---:|" * (len(heads) - text), *written[1:]])


def _measured(row: Record, column: str) -> str:
    measured = _number(row[f"{column}_measured"])
    return NONE if measured == NONE else f"**{measured}**" + _with_spread("", row[f"{column}_sd"])


def _with_spread(mean: str, spread: str) -> str:
    return (_number(mean) if mean else "") + (f" ± {_number(spread)}" if spread else "")


def _number(written: str) -> str:
    return f"{float(written):.1f}" if written else NONE


def _signed(written: str) -> str:
    return f"{float(written):+.1f}" if written else NONE


def filled(text: str, measured: Path = MEASURED) -> str:
    """A page with what was measured between its markers.

    Raises:
        SystemExit: the page has no marker, or one without an end.
    """
    seen = 0
    for name, written in PARTS.items():
        before, mark, rest = text.partition(begin(name))
        if mark:
            _, end, after = rest.partition(END)
            if not end:
                raise SystemExit(f"a page lacks the marker {END} after {mark}")
            text, seen = f"{before}{mark}\n\n{written(measured)}\n\n{end}{after}", seen + 1
    if not seen:
        raise SystemExit(f"a page lacks markers such as {begin(next(iter(PARTS)))}")
    return text


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        take(folder)
    for page in PAGES:
        page.write_text(filled(page.read_text()))
