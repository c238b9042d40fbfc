# Targets by name: rows, columns, sweeps, comparisons, whether or not the table asks for them.

TARGETS = {
    # `snakemake row_B-L`: the cells of one row (and of its control).
    **{f"row_{row}": receipts(PLAN.cells([row])) for row in PLAN.params.table_rows},
    # `snakemake column_det`: the cells of one column.
    **{f"column_{column}": receipts(PLAN.cells(columns=[column])) for column in COLUMNS},
    # `snakemake sweep_teachers`: the cells of a sweep of params.yaml, and its figure.
    **{f"sweep_{sweep}": [*receipts(PLAN.sweep(sweep)), f"{RESULTS}/sweeps/{sweep}.csv"] for sweep in PLAN.sweeps()},
    # `snakemake comparisons`: students of different teachers, layer by layer.
    "comparisons": receipts(PLAN.comparisons()),
}

for target, files in TARGETS.items():

    rule:
        name:
            target
        input:
            files,
