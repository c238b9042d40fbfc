# Data: drawn where the project draws it itself, and checked before anything is trained.


rule generate:
    output:
        receipt="results/{scale}/generate/{dataset}/receipt.json",
        files="results/{scale}/generate/{dataset}/files.tsv",
    log:
        "logs/{scale}/generate/{dataset}.log",
    benchmark:
        "logs/{scale}/generate/{dataset}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: asks("generate", "threads")
    resources:
        mem_mb=asks("generate", "mem_mb"),
        runtime=asks("generate", "runtime"),
    params:
        settings=settings("generate"),
    message:
        "draw data set {wildcards.dataset} (log: {log})"
    shell:
        "dbot generate --scale {wildcards.scale} --dataset {wildcards.dataset}" " --receipt {output.receipt} >> {log} 2>&1"


rule prepare:
    input:
        unpack(inputs("prepare")),
    output:
        receipt="results/{scale}/prepare/{dataset}/receipt.json",
        manifest="results/{scale}/prepare/{dataset}/manifest.json",
        samples="results/{scale}/prepare/{dataset}/samples.tsv",
    log:
        "logs/{scale}/prepare/{dataset}.log",
    benchmark:
        "logs/{scale}/prepare/{dataset}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: asks("prepare", "threads")
    resources:
        mem_mb=asks("prepare", "mem_mb"),
        runtime=asks("prepare", "runtime"),
    params:
        settings=settings("prepare"),
        generated=option("generated"),
    message:
        "check data set {wildcards.dataset} (log: {log})"
    shell:
        "dbot prepare --scale {wildcards.scale} --dataset {wildcards.dataset}"
        " {params.generated} --receipt {output.receipt} >> {log} 2>&1"
