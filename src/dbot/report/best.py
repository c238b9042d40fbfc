"""What MLflow shows of the table: a run for every row, and in its registry the model behind each cell, that of its best seed."""

from collections.abc import Iterator

from dbot.params.rows import COLUMNS
from dbot.report import words
from dbot.report.table import RESULT, Line, Table
from dbot.tracking.registry import BestModel
from dbot.tracking.rows import RowRun
from dbot.tracking.runs import SHOWN, signed


def best_models(table: Table) -> list[BestModel]:
    """For every row but the controls, by column, the model that measured best; rows without a measured cell have none."""
    plan, found = table.plan, []
    controls = {plan.params.control(name, column) for name in plan.params.table_rows for column in COLUMNS}
    for line in table.lines:
        for column in COLUMNS:
            seeds = [seed for seed in line.cells[column].seeds if seed.value is not None and seed.found is not None]
            if line.name in controls or not seeds:
                continue
            best = max(seeds, key=lambda seed: (seed.value or 0.0, -seed.seed)).found
            assert best is not None
            trained = best.inputs["model"]
            if best.receipt is None or trained.receipt is None or trained.execution is None:
                continue
            made = trained.job.kind.model(trained.job, plan.params)
            assert made is not None
            found.append(
                BestModel(
                    name=f"dbot-{plan.scale}-{line.name}",
                    alias=f"best-{column}",
                    checkpoint=trained.path.parent / made.file,
                    receipt=trained.receipt,
                    execution=trained.execution.name,
                    path=trained.path,
                    cell=best.receipt,
                    metric=RESULT[column],
                )
            )
    return found


def row_runs(table: Table) -> list[RowRun]:
    """The rows of which anything was done, in the order of the table."""
    begun = [line for line in table.lines if any(seed.state.is_there for cell in line.cells.values() for seed in cell.seeds)]
    return [
        RowRun(
            row=line.name,
            values={"place": float(place), **dict(_values(line))},
            tags={"student": line.architecture, "teacher": line.declared.title, "took": words.hours(line) or "–"},
            note=signed(*_said(line)),
        )
        for place, line in enumerate(begun, start=1)
    ]


def _values(line: Line) -> Iterator[tuple[str, float]]:
    for column in COLUMNS:
        cell, name = line.cells[column], words.HEADS[column]
        control = line.control[column].measured if column in line.control else None
        found = {"": cell.measured, " sd": cell.sd, " control": control, " margin": line.margin(column)}
        yield from ((f"{name}{what}", round(value, 3)) for what, value in found.items() if value is not None and cell.measured is not None)


def _said(line: Line) -> Iterator[str]:
    """Per measured column what the row does against its control, and the lineage with the receipts that the number stands on."""
    for column in COLUMNS:
        if line.cells[column].measured is not None:
            if column in line.control:
                yield words.against_control(line, column)
            ids = [found.receipt.id[:SHOWN] for found in line.cells[column].findings if found.receipt is not None]
            yield f"{words.HEADS[column]}: `dbot lineage {line.name}/{column}`, receipt{'s' * (len(ids) != 1)} {', '.join(ids)}"
