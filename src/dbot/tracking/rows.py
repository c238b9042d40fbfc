"""The rows of the table in MLflow: a run for each, over the runs of its jobs, with what the table says of it; and the view of them.

MLflow keeps a view, with its columns and its order, among the tags of an experiment, and lists it under "Views".
"""

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from dbot.base.errors import UserError
from dbot.tracking import address
from dbot.tracking.mlflow import Checked, short, unanswered
from dbot.tracking.runs import NOTE, SIGNED, experiment, signed
from dbot.tracking.store import Store

VIEW = "dbot"
"""Its key in addresses."""
TITLE = "The table"
NEVER = 0
"""When our view was saved, by which it is known from one that a person saved in its place."""


@dataclass(frozen=True)
class RowRun:
    """What the run of a row holds."""

    row: str
    values: dict[str, float]
    """As the table shows them, and the row's place in it."""
    tags: dict[str, str]
    note: str


def sync_rows(scale: str, rows: Sequence[RowRun]) -> int:
    """Bring the runs of rows in step with the table; returns how many were not.

    Raises:
        UserError: MLflow can't be reached.
    """
    if not rows:
        return 0
    try:
        store = Store()
        changed = sum(store.complete_row(experiment(scale), row.row, row.values, row.tags, row.note) for row in rows)
        store.describe(experiment(scale), _experiment_tags(rows))
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        raise unanswered("MLflow", error) from None
    return changed


def check_rows(scale: str, rows: Sequence[RowRun]) -> Checked:
    """Compare the runs of rows with the table.

    Raises:
        UserError: names the first row that has another number.
    """
    checked, missing = Checked(), 0
    if not rows or not address.is_there():
        return checked
    try:
        store = Store()
        for row in rows:
            found = store.row(experiment(scale), row.row)
            for name, value in (found or {}).items():
                wanted = row.values.get(name, math.nan)
                if not (value == wanted or math.isnan(value)):
                    raise UserError(
                        f"MLflow at {address.shown_uri()}: the run of row {row.row} has {name} = {value}, "
                        f"by the receipts it is {'nothing' if math.isnan(wanted) else wanted}; `dbot sync` mends it"
                    )
            if found is None or any(math.isnan(found.get(name, math.nan)) for name in row.values):
                missing += 1
            else:
                checked.same += 1
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        checked.notes.append(f"MLflow's rows: not checked to the end, {address.shown_uri()} does not answer ({short(error)})")
    if missing:
        checked.notes.append(f"MLflow: {missing} of {len(rows)} rows are not there, or not whole; `dbot sync` completes them")
    return checked


def _experiment_tags(rows: Sequence[RowRun]) -> dict[str, tuple[str, str]]:
    """Tags of the experiment; of each its value, and a text that is in the values that are ours to change."""
    metrics = list(dict.fromkeys(name for row in rows for name in row.values if name != "place"))
    tags = list(dict.fromkeys(name for row in rows for name in row.tags))
    note = signed(f"The rows of the table, with their jobs below them. Under “Views” is “{TITLE}”: its columns, in its order.")
    saved = {"name": TITLE, "createdAt": NEVER, "updatedAt": NEVER, "state": _state(metrics, tags)}
    return {
        NOTE: (note, SIGNED),
        f"mlflow.sharedViewState.{VIEW}": (json.dumps(saved), f'"updatedAt": {NEVER}'),
    }


def _state(metrics: Sequence[str], tags: Sequence[str]) -> str:
    """A view of MLflow's page of runs: rows only, in their order, with these columns."""
    state = {
        "searchFilter": "tags.`dbot.parent` LIKE 'row:%'",
        "orderByKey": "metrics.`place`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*(f"tags.`{name}`" for name in tags), *(f"metrics.`{name}`" for name in metrics)],
        "runsHiddenMode": "FIRST_10_RUNS",
        "groupBy": None,
    }
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
