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
