# k-NN and a linear classifier on the frozen features of one network: a stage's student, or a row's first teacher.


rule probe:
    input:
        unpack(inputs("probe")),
    output:
        receipt="results/{scale}/probe/{row}/stage{stage}/receipt.json",
        metrics="results/{scale}/probe/{row}/stage{stage}/metrics.json",
    log:
        "logs/{scale}/probe/{row}/stage{stage}.log",
    benchmark:
        "logs/{scale}/probe/{row}/stage{stage}.benchmark.tsv"
    wildcard_constraints:
        stage=r"\d+",  # 0: the first teacher
    conda:
        "../../environment.yml"
    threads: asks("probe", "threads")
    resources:
        mem_mb=asks("probe", "mem_mb"),
        runtime=asks("probe", "runtime"),
        nodes=asks("probe", "nodes"),
        gpu=asks("probe", "gpu"),
        tasks=asks("probe", "tasks"),
        mpi=asks("probe", "mpi"),
    params:
        settings=settings("probe"),
        launch=launch("probe"),
        student=option("student"),
    message:
        "probe row {wildcards.row}, stage {wildcards.stage} ({resources.nodes} node(s), {resources.gpu} GPU(s), {resources.mem_mb} MB, {resources.runtime} min; log: {log})"
    shell:
        "{params.launch} probe --scale {wildcards.scale} --row {wildcards.row} --stage {wildcards.stage}"
        " --data {input.data} {params.student} --receipt {output.receipt} >> {log} 2>&1"
