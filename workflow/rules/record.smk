# What DVC keeps and MLflow shows. These run where Snakemake runs, not on a cluster's nodes: they
# write to the repository. DVC takes one writer at a time; `dbot record` waits for its turn.


# A checkpoint goes to DVC as soon as its job has ended.
rule record:
    input:
        "results/{scale}/{job}/receipt.json",
    output:
        "results/{scale}/{job}/recorded.json",
    log:
        "logs/{scale}/record/{job}.log",
    wildcard_constraints:
        job=f"({'|'.join(kind.name for kind in kinds().values() if kind.kept)})/.+",
    priority: 2  # what was computed is kept before more is
    localrule: True
    conda:
        "../../environment.yml"
    message:
        "hand {wildcards.job} to DVC (log: {log})"
    shell:
        "dbot record --scale {wildcards.scale} --receipt {input} --output {output} >> {log} 2>&1"


# Everything small goes together: DVC takes seconds for each call, however little there is to do.
rule record_cells:
    input:
        small(PLAN.targets()),
    output:
        f"{RESULTS}/recorded.json",
    log:
        f"{LOGS}/record/cells.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "hand the data's manifests, the cells and the evidence to DVC (log: {log})"
    shell:
        "dbot record --scale {params.scale} --receipt {input} --output {output} >> {log} 2>&1"


# Jobs feed MLflow while they run; this completes what did not arrive.
rule sync:
    input:
        receipts(PLAN.targets()),
    output:
        f"{RESULTS}/mlflow.json",
    log:
        f"{LOGS}/sync.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "complete MLflow from the receipts (log: {log})"
    shell:
        "dbot sync --scale {params.scale} --output {output} >> {log} 2>&1"
