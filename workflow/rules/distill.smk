# Distillation, one job a stage. The teacher is the student of another stage, of the same row or of
# another, or, in a row's first stage, what `teachers` declares: then there is no teacher's receipt.
# (A recipe whose boundary keeps the optimizer writes it beside the student; the receipt names it, as it does the picture method.png,
# for which no training is done again.)


rule distill:
    input:
        unpack(inputs("distill")),
    output:
        receipt="results/{scale}/distill/{row}/stage{stage}/receipt.json",
        student="results/{scale}/distill/{row}/stage{stage}/student.safetensors",
        metrics="results/{scale}/distill/{row}/stage{stage}/metrics.csv",
    log:
        "logs/{scale}/distill/{row}/stage{stage}.log",
    priority: 1  # the longest chains first, so that the last cells do not wait for them
    conda:
        "../../environment.yml"
    threads: threads("distill")
    resources:
        **requests("distill"),
    params:
        launch=launch("distill"),
        machine=machine("distill"),
        teacher=option("teacher"),
    message:
        "distill row {wildcards.row}, stage {wildcards.stage} ({params.machine}; log: {log})"
    shell:
        "{params.launch} distill --scale {wildcards.scale} --row {wildcards.row} --stage {wildcards.stage}"
        " --data {input.data} {params.teacher} --receipt {output.receipt} >> {log} 2>&1"
