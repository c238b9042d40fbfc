# k-NN and a linear classifier on the frozen features of one network: a stage's student, or a row's first teacher.


rule probe:
    input:
        unpack(inputs("probe")),
    output:
        receipt="results/{scale}/probe/{row}/stage{stage}/receipt.json",
        metrics="results/{scale}/probe/{row}/stage{stage}/metrics.json",
    log:
        "logs/{scale}/probe/{row}/stage{stage}.log",
    wildcard_constraints:
        stage=r"\d+",  # 0: the first teacher
    conda:
        "../../environment.yml"
    threads: threads("probe")
    resources:
        **requests("probe"),
    params:
        launch=launch("probe"),
        machine=machine("probe"),
        student=option("student"),
    message:
        "probe row {wildcards.row}, stage {wildcards.stage} ({params.machine}; log: {log})"
    shell:
        "{params.launch} probe --scale {wildcards.scale} --row {wildcards.row} --stage {wildcards.stage}"
        " --data {input.data} {params.student} --receipt {output.receipt} >> {log} 2>&1"


# One linear layer on a frozen network, a stage's student or a row's first teacher: few-shot classification, or segmentation.
rule adapt:
    input:
        unpack(inputs("adapt")),
    output:
        receipt="results/{scale}/adapt/{row}/{task}/stage{stage}/receipt.json",
        metrics="results/{scale}/adapt/{row}/{task}/stage{stage}/metrics.json",
    log:
        "logs/{scale}/adapt/{row}/{task}/stage{stage}.log",
    wildcard_constraints:
        stage=r"\d+",  # 0: the first teacher
        task="few-shot|segmentation",
    conda:
        "../../environment.yml"
    threads: threads("adapt")
    resources:
        **requests("adapt"),
    params:
        launch=launch("adapt"),
        machine=machine("adapt"),
        student=option("student"),
    message:
        "adapt row {wildcards.row}, stage {wildcards.stage}, to {wildcards.task} ({params.machine}; log: {log})"
    shell:
        "{params.launch} adapt --scale {wildcards.scale} --row {wildcards.row} --task {wildcards.task} --stage {wildcards.stage}"
        " --data {input.data} {params.student} --receipt {output.receipt} >> {log} 2>&1"
