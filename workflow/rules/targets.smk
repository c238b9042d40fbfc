# Targets by name: rows, columns, sweeps, comparisons.


# `snakemake row_B-L`: the cells of one row (and of its control), whether or not the table asks for it.
for row in PLAN.params.table_rows:

    rule:
        name:
            f"row_{row}"
        input:
            receipts(PLAN.cells([row])),
            kept(PLAN.cells([row])),


# `snakemake comparisons`: students of different teachers, layer by layer.
rule comparisons:
    input:
        receipts(PLAN.comparisons()),
    message:
        "rows are compared"


# `snakemake sweep_teachers`: the cells of a sweep of params.yaml, and its figure.
for sweep in PLAN.sweeps():

    rule:
        name:
            f"sweep_{sweep}"
        input:
            receipts(PLAN.sweep(sweep)),
            kept(PLAN.sweep(sweep)),
            f"{RESULTS}/sweeps/{sweep}.csv",


# `snakemake column_det`: the cells of one column, whether or not the table asks for it.
for column in COLUMNS:

    rule:
        name:
            f"column_{column}"
        input:
            receipts(PLAN.cells(columns=[column])),
            kept(PLAN.cells(columns=[column])),
