# Targets by name: rows, columns, sweeps, comparisons. Each ends with handing over to DVC what is small and comes without a mark
# (a data set that lies here and is in dvc.yaml, but in no lock file, keeps `dvc pull` from doing anything), and with completing
# MLflow: short jobs leave their metrics to that.


def with_marks(cells):
    """The receipts of some cells, and the marks of the checkpoints behind them."""
    return [*receipts(cells), *kept(cells)]


TARGETS = {
    # `snakemake row_B-L`: the cells of one row (and of its control), whether or not the table asks for it.
    **{f"row_{row}": with_marks(PLAN.cells([row])) for row in PLAN.params.table_rows},
    # `snakemake comparisons`: students of different teachers, layer by layer.
    "comparisons": receipts(PLAN.comparisons()),
    # `snakemake sweep_teachers`: the cells of a sweep of params.yaml, and its figure.
    **{f"sweep_{sweep}": [*with_marks(PLAN.sweep(sweep)), f"{RESULTS}/sweeps/{sweep}.csv"] for sweep in PLAN.sweeps()},
    # `snakemake column_det`: the cells of one column, whether or not the table asks for it.
    **{f"column_{column}": with_marks(PLAN.cells(columns=[column])) for column in COLUMNS},
}

for target, files in TARGETS.items():

    rule:
        name:
            target
        input:
            files,
        log:
            f"{LOGS}/record/{target}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            scale=PLAN.scale,
        message:
            "hand what is small to DVC, complete MLflow (log: {log})"
        shell:
            "dbot record --scale {params.scale} >> {log} 2>&1 && dbot sync --scale {params.scale} >> {log} 2>&1"
