# A row's classifier on a set that is shifted from its own: other images of its classes, corrupted ones, other labels.


rule shift:
    input:
        unpack(inputs("shift")),
    output:
        receipt="results/{scale}/shift/{row}/{dataset}/seed{seed}/receipt.json",
        metrics="results/{scale}/shift/{row}/{dataset}/seed{seed}/metrics.json",
    log:
        "logs/{scale}/shift/{row}/{dataset}/seed{seed}.log",
    benchmark:
        "logs/{scale}/shift/{row}/{dataset}/seed{seed}.benchmark.tsv"
    conda:
        "../../environment.yml"
    threads: threads("shift")
    resources:
        **requests("shift"),
    params:
        launch=launch("shift"),
        machine=machine("shift"),
    message:
        "measure row {wildcards.row} on {wildcards.dataset}, seed {wildcards.seed} ({params.machine}; log: {log})"
    shell:
        "{params.launch} shift --scale {wildcards.scale} --row {wildcards.row} --dataset {wildcards.dataset}"
        " --seed {wildcards.seed} --data {input.data} --model {input.model} --receipt {output.receipt} >> {log} 2>&1"
