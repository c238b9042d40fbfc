# Fine-tuning of a classifier: from a student, from another row's classifier, or from scratch (a control).


rule finetune:
    input:
        unpack(inputs("finetune")),
    output:
        receipt="results/{scale}/finetune/{row}/seed{seed}/receipt.json",
        last="results/{scale}/finetune/{row}/seed{seed}/last.safetensors",
        best="results/{scale}/finetune/{row}/seed{seed}/best.safetensors",
        metrics="results/{scale}/finetune/{row}/seed{seed}/metrics.csv",
    log:
        "logs/{scale}/finetune/{row}/seed{seed}.log",
    conda:
        "../../environment.yml"
    threads: threads("finetune")
    resources:
        **requests("finetune"),
    params:
        launch=launch("finetune"),
        machine=machine("finetune"),
        start=option("start"),
    message:
        "fine-tune row {wildcards.row}, seed {wildcards.seed} ({params.machine}; log: {log})"
    shell:
        "{params.launch} finetune --scale {wildcards.scale} --row {wildcards.row} --seed {wildcards.seed}"
        " --data {input.data} {params.start} --receipt {output.receipt} >> {log} 2>&1"
