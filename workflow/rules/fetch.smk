# Weights that others released, for rows that start from them instead of training. It runs where
# Snakemake runs: the nodes of a cluster often see no network.


rule fetch:
    input:
        PARAMETERS,
    output:
        receipt="results/{scale}/fetch/{released}/receipt.json",
        model="results/{scale}/fetch/{released}/model.safetensors",
    log:
        "logs/{scale}/fetch/{released}.log",
    localrule: True
    conda:
        "../../environment.yml"
    threads: threads("fetch")
    resources:
        **requests("fetch"),
    params:
        launch=launch("fetch"),
    message:
        "fetch released weights {wildcards.released} (log: {log})"
    shell:
        "{params.launch} fetch --scale {wildcards.scale} --released {wildcards.released} --receipt {output.receipt} >> {log} 2>&1"
