# Training of a semantic segmenter: from a student, or from scratch (a control).


rule segment:
    input:
        unpack(inputs("segment")),
    output:
        receipt="results/{scale}/segment/{row}/seed{seed}/receipt.json",
        model="results/{scale}/segment/{row}/seed{seed}/model.safetensors",
        metrics="results/{scale}/segment/{row}/seed{seed}/metrics.csv",
    log:
        "logs/{scale}/segment/{row}/seed{seed}.log",
    conda:
        "../../environment.yml"
    threads: threads("segment")
    resources:
        **requests("segment"),
    params:
        launch=launch("segment"),
        machine=machine("segment"),
        start=option("start"),
    message:
        "train the segmenter of row {wildcards.row}, seed {wildcards.seed} ({params.machine}; log: {log})"
    shell:
        "{params.launch} segment --scale {wildcards.scale} --row {wildcards.row} --seed {wildcards.seed}"
        " --data {input.data} {params.start} --receipt {output.receipt} >> {log} 2>&1"
