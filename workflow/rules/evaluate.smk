# One cell of the table, for one seed.


rule evaluate:
    input:
        unpack(inputs("evaluate")),
    output:
        receipt="results/{scale}/evaluate/{row}/{column}/seed{seed}/receipt.json",
        metrics="results/{scale}/evaluate/{row}/{column}/seed{seed}/metrics.json",
    log:
        "logs/{scale}/evaluate/{row}/{column}/seed{seed}.log",
    benchmark:
        "logs/{scale}/evaluate/{row}/{column}/seed{seed}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: asks("evaluate", "threads")
    resources:
        mem_mb=asks("evaluate", "mem_mb"),
        runtime=asks("evaluate", "runtime"),
        gpu=asks("evaluate", "gpu"),
    params:
        settings=settings("evaluate"),
        launch=launch,
    message:
        "measure row {wildcards.row}, column {wildcards.column}, seed {wildcards.seed} (log: {log})"
    shell:
        "{params.launch} evaluate --scale {wildcards.scale} --row {wildcards.row} --column {wildcards.column}"
        " --seed {wildcards.seed} --data {input.data} --model {input.model} --receipt {output.receipt} >> {log} 2>&1"
