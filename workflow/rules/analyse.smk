# Attention distance and singular values inside one network: a stage's student, or a row's first teacher.


rule analyse:
    input:
        unpack(inputs("analyse")),
    output:
        receipt="results/{scale}/analyse/{row}/stage{stage}/receipt.json",
        distances="results/{scale}/analyse/{row}/stage{stage}/attention_distance.csv",
        shares="results/{scale}/analyse/{row}/stage{stage}/singular_shares.csv",
        metrics="results/{scale}/analyse/{row}/stage{stage}/metrics.json",
    log:
        "logs/{scale}/analyse/{row}/stage{stage}.log",
    wildcard_constraints:
        stage=r"\d+",  # 0: the first teacher
    conda:
        "../../environment.yml"
    threads: threads("analyse")
    resources:
        **requests("analyse"),
    params:
        launch=launch("analyse"),
        machine=machine("analyse"),
        student=option("student"),
    message:
        "analyse row {wildcards.row}, stage {wildcards.stage} ({params.machine}; log: {log})"
    shell:
        "{params.launch} analyse --scale {wildcards.scale} --row {wildcards.row} --stage {wildcards.stage}"
        " --data {input.data} {params.student} --receipt {output.receipt} >> {log} 2>&1"
