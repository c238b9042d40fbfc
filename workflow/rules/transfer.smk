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
    benchmark:
        "logs/{scale}/transfer/{row}/{dataset}/seed{seed}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: asks("transfer", "threads")
    resources:
        mem_mb=asks("transfer", "mem_mb"),
        runtime=asks("transfer", "runtime"),
        nodes=asks("transfer", "nodes"),
        gpu=asks("transfer", "gpu"),
        tasks=asks("transfer", "tasks"),
        mpi=asks("transfer", "mpi"),
    params:
        settings=settings("transfer"),
        launch=launch("transfer"),
        start=option("start"),
    message:
        "transfer row {wildcards.row} to {wildcards.dataset}, seed {wildcards.seed} ({resources.nodes} node(s), {resources.gpu} GPU(s), {resources.mem_mb} MB, {resources.runtime} min; log: {log})"
    shell:
        "{params.launch} transfer --scale {wildcards.scale} --row {wildcards.row} --dataset {wildcards.dataset}"
        " --seed {wildcards.seed} --data {input.data} {params.start} --receipt {output.receipt} >> {log} 2>&1"
