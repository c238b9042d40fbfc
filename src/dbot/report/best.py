"""The model behind each cell of the table: that of its best seed."""

from dbot.lineage.judge import Judge
from dbot.params.rows import COLUMNS
from dbot.plan import Plan
from dbot.report.table import RESULT, build
from dbot.tracking.registry import BestModel


def best_models(plan: Plan) -> list[BestModel]:
    """For every row but the controls, by column, the model that measured best; rows without a measured cell have none."""
    controls = {plan.params.control(name, column) for name in plan.params.table_rows for column in COLUMNS}
    found = []
    for line in build(plan, Judge()).lines:
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
