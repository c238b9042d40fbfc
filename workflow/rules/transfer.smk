# Fine-tuning of a row's student on a set that its pre-training has not seen, measured there.


rule transfer:
    input:
        unpack(inputs("transfer")),
    output:
        receipt="results/{scale}/transfer/{row}/{dataset}/seed{seed}/receipt.json",
        model="results/{scale}/transfer/{row}/{dataset}/seed{seed}/model.safetensors",
        metrics="results/{scale}/transfer/{row}/{dataset}/seed{seed}/metrics.csv",
    log:
        "logs/{scale}/transfer/{row}/{dataset}/seed{seed}.log",
    conda:
        "../../environment.yml"
    threads: threads("transfer")
    resources:
        **requests("transfer"),
    params:
        launch=launch("transfer"),
        machine=machine("transfer"),
        start=option("start"),
    message:
        "transfer row {wildcards.row} to {wildcards.dataset}, seed {wildcards.seed} ({params.machine}; log: {log})"
    shell:
        "{params.launch} transfer --scale {wildcards.scale} --row {wildcards.row} --dataset {wildcards.dataset}"
        " --seed {wildcards.seed} --data {input.data} {params.start} --receipt {output.receipt} >> {log} 2>&1"
