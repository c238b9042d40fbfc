# Data: drawn where the project draws it itself, and checked before anything is trained.


rule generate:
    input:
        PARAMETERS,
    output:
        receipt="results/{scale}/generate/{dataset}/receipt.json",
        files="results/{scale}/generate/{dataset}/files.tsv",
    log:
        "logs/{scale}/generate/{dataset}.log",
    conda:
        "../../environment.yml"
    threads: threads("generate")
    resources:
        **requests("generate"),
    params:
        launch=launch("generate"),
    message:
        "draw data set {wildcards.dataset} (log: {log})"
    shell:
        "{params.launch} generate --scale {wildcards.scale} --dataset {wildcards.dataset}" " --receipt {output.receipt} >> {log} 2>&1"


rule prepare:
    input:
        unpack(inputs("prepare")),
    output:
        receipt="results/{scale}/prepare/{dataset}/receipt.json",
        manifest="results/{scale}/prepare/{dataset}/manifest.json",
        samples="results/{scale}/prepare/{dataset}/samples.tsv",
    log:
        "logs/{scale}/prepare/{dataset}.log",
    conda:
        "../../environment.yml"
    threads: threads("prepare")
    resources:
        **requests("prepare"),
    params:
        launch=launch("prepare"),
        generated=option("generated"),
    message:
        "check data set {wildcards.dataset} (log: {log})"
    shell:
        "{params.launch} prepare --scale {wildcards.scale} --dataset {wildcards.dataset}"
        " {params.generated} --receipt {output.receipt} >> {log} 2>&1"
