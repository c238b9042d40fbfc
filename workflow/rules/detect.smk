# Training of a detector: from a student, or from scratch (a control).


rule detect:
    input:
        unpack(inputs("detect")),
    output:
        receipt="results/{scale}/detect/{row}/seed{seed}/receipt.json",
        model="results/{scale}/detect/{row}/seed{seed}/model.safetensors",
        metrics="results/{scale}/detect/{row}/seed{seed}/metrics.csv",
    log:
        "logs/{scale}/detect/{row}/seed{seed}.log",
    conda:
        "../../environment.yml"
    threads: threads("detect")
    resources:
        **requests("detect"),
    params:
        launch=launch("detect"),
        machine=machine("detect"),
        start=option("start"),
    message:
        "train the detector of row {wildcards.row}, seed {wildcards.seed} ({params.machine}; log: {log})"
    shell:
        "{params.launch} detect --scale {wildcards.scale} --row {wildcards.row} --seed {wildcards.seed}"
        " --data {input.data} {params.start} --receipt {output.receipt} >> {log} 2>&1"
