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
    benchmark:
        "logs/{scale}/analyse/{row}/stage{stage}.benchmark.tsv"
    wildcard_constraints:
        stage=r"\d+",  # 0: the first teacher
    conda:
        "../../environment.yml"
    threads: asks("analyse", "threads")
    resources:
        mem_mb=asks("analyse", "mem_mb"),
        runtime=asks("analyse", "runtime"),
        nodes=asks("analyse", "nodes"),
        gpu=asks("analyse", "gpu"),
        tasks=asks("analyse", "tasks"),
        mpi=asks("analyse", "mpi"),
    params:
        settings=settings("analyse"),
        launch=launch("analyse"),
        student=option("student"),
    message:
        "analyse row {wildcards.row}, stage {wildcards.stage} ({resources.nodes} node(s), {resources.gpu} GPU(s), {resources.mem_mb} MB, {resources.runtime} min; log: {log})"
    shell:
        "{params.launch} analyse --scale {wildcards.scale} --row {wildcards.row} --stage {wildcards.stage}"
        " --data {input.data} {params.student} --receipt {output.receipt} >> {log} 2>&1"
