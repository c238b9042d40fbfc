"""MLflow's registry of models: for each row a registered model, with an alias for the best in each column.

A version holds no weights. Its tags name the receipt and the file as DVC has it, and its run is the one that trained it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbot.base.errors import UserError
from dbot.lineage.receipt import Receipt
from dbot.tracking import address
from dbot.tracking.mlflow import Checked, short, unanswered
from dbot.tracking.store import Store
from dbot.versioning.pointer import look, read_pointer


@dataclass(frozen=True)
class BestModel:
    """A model that fills a cell of the table."""

    name: str
    """Of the registered model: ``dbot-demo-B-B``."""
    alias: str
    """``best-cls``."""
    checkpoint: Path
    receipt: Receipt
    """Of the job that trained it."""
    execution: str
    """Name of the execution that ended in it."""
    path: Path
    """Of that receipt."""
    cell: Receipt
    """Of the measurement that fills the cell."""
    metric: str
    """The finding that fills it."""

    @property
    def sha256(self) -> str:
        return self.receipt.artifacts[self.checkpoint.name].sha256


def register(models: Sequence[BestModel]) -> int:
    """Give every model its version and its alias; returns how many lacked one or pointed elsewhere.

    Done twice, the second time does nothing.

    Raises:
        UserError: MLflow can't be reached.
    """
    if not models:
        return 0
    try:
        store = Store()
        return sum(store.register(model.name, model.alias, model.execution, *_version(model)) for model in models)
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        raise unanswered("MLflow's registry", error) from None


def check_models(models: Sequence[BestModel]) -> Checked:
    """Compare the registry's aliases with the models that the receipts say are best.

    Raises:
        UserError: names the first alias that leads elsewhere, or whose version says something else.
    """
    checked = Checked()
    if not models or not address.is_there():
        return checked
    missing = 0
    try:
        store = Store()
        for model in models:
            found = store.registered(model.name, model.alias)
            if found is None:
                missing += 1
                continue
            _, expected = _version(model)
            for tag, value in expected.items():
                if found.get(tag) != value:
                    raise UserError(
                        f"MLflow at {address.shown_uri()}: {model.name}@{model.alias} has tag {tag} = {found.get(tag, 'nothing')}, "
                        f"by the receipts it is {value}; `dbot sync` mends it"
                    )
            checked.same += 1
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever MLflow, its database or the network raise)
        checked.notes.append(f"MLflow's registry: not checked to the end, {address.shown_uri()} does not answer ({short(error)})")
    if missing:
        checked.notes.append(f"MLflow's registry: {missing} of {len(models)} models are not there; `dbot sync` registers them")
    return checked


def _version(model: BestModel) -> tuple[str, dict[str, str]]:
    """Where a version says that its weights are, and its tags."""
    path = model.checkpoint
    # DVC may not have it yet, where `dbot sync` comes before `dbot record`; its MD5 is that of the file.
    pointer = read_pointer(path) or (look(path) if path.is_file() else None)
    tags = {
        "dbot.receipt": model.receipt.id,
        "dbot.receipt_path": model.path.as_posix(),
        "dbot.cell": model.cell.id,
        f"dbot.result.{model.metric}": str(model.cell.results[model.metric]),
        "dbot.path": path.as_posix(),
        "dbot.sha256": model.sha256,
    }
    return f"dvc:///{path.as_posix()}", tags if pointer is None else {**tags, "dvc.md5": pointer.md5}
