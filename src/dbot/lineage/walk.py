"""From a cell back to the data, receipt by receipt."""

from pathlib import Path

from dbot.base.errors import UserError
from dbot.lineage import receipt as receipts
from dbot.lineage.receipt import Receipt


def walk(paths: list[Path]) -> dict[Path, Receipt]:
    """The receipts at some paths and all that they came from, the nearest first.

    Raises:
        UserError: one is missing or was changed, or is no longer the one that was read.
    """
    found: dict[Path, Receipt] = {}
    queue = list(paths)
    while queue:
        path = queue.pop(0)
        if path in found:
            continue
        found[path] = receipts.read(path)
        for needed in found[path].inputs.values():
            if receipts.read(Path(needed.path)).id != needed.id:
                raise UserError(
                    f"{path}: was made from another {needed.path} than lies there now, so its lineage is lost here; run its job again"
                )
            queue.append(Path(needed.path))
    return found
