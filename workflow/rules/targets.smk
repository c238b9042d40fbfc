# Targets by name: rows, columns, sweeps, comparisons. Each ends with handing over to DVC what is small and comes without a mark
# (a data set that lies here and is in dvc.yaml, but in no lock file, keeps `dvc pull` from doing anything), and with completing
# MLflow: short jobs leave their metrics to that.


# `snakemake row_B-L`: the cells of one row (and of its control), whether or not the table asks for it.
for row in PLAN.params.table_rows:

    rule:
        name:
            f"row_{row}"
        input:
            receipts(PLAN.cells([row])),
            kept(PLAN.cells([row])),
        log:
            f"{LOGS}/record/row_{row}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            scale=PLAN.scale,
        message:
            "hand what is small to DVC, complete MLflow (log: {log})"
        shell:
            "dbot record --scale {params.scale} >> {log} 2>&1 && dbot sync --scale {params.scale} >> {log} 2>&1"


# `snakemake comparisons`: students of different teachers, layer by layer.
rule comparisons:
    input:
        receipts(PLAN.comparisons()),
    log:
        f"{LOGS}/record/comparisons.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "hand what is small to DVC, complete MLflow (log: {log})"
    shell:
        "dbot record --scale {params.scale} >> {log} 2>&1 && dbot sync --scale {params.scale} >> {log} 2>&1"


# `snakemake sweep_teachers`: the cells of a sweep of params.yaml, and its figure.
for sweep in PLAN.sweeps():

    rule:
        name:
            f"sweep_{sweep}"
        input:
            receipts(PLAN.sweep(sweep)),
            kept(PLAN.sweep(sweep)),
            f"{RESULTS}/sweeps/{sweep}.csv",
        log:
            f"{LOGS}/record/sweep_{sweep}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            scale=PLAN.scale,
        message:
            "hand what is small to DVC, complete MLflow (log: {log})"
        shell:
            "dbot record --scale {params.scale} >> {log} 2>&1 && dbot sync --scale {params.scale} >> {log} 2>&1"


# `snakemake column_det`: the cells of one column, whether or not the table asks for it.
for column in COLUMNS:

    rule:
        name:
            f"column_{column}"
        input:
            receipts(PLAN.cells(columns=[column])),
            kept(PLAN.cells(columns=[column])),
        log:
            f"{LOGS}/record/column_{column}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            scale=PLAN.scale,
        message:
            "hand what is small to DVC, complete MLflow (log: {log})"
        shell:
            "dbot record --scale {params.scale} >> {log} 2>&1 && dbot sync --scale {params.scale} >> {log} 2>&1"
