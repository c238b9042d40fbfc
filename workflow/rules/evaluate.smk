# One cell of the table, for one seed; of a classifier, the bins of its confidence too.


rule evaluate:
    input:
        unpack(inputs("evaluate")),
    output:
        receipt="results/{scale}/evaluate/{row}/{column}/seed{seed}/receipt.json",
        metrics="results/{scale}/evaluate/{row}/{column}/seed{seed}/metrics.json",
        more="results/{scale}/evaluate/{row}/{column}/seed{seed}/reliability.csv",
    log:
        "logs/{scale}/evaluate/{row}/{column}/seed{seed}.log",
    wildcard_constraints:
        column="cls",
    conda:
        "../../environment.yml"
    threads: threads("evaluate")
    resources:
        **requests("evaluate"),
    params:
        launch=launch("evaluate"),
        machine=machine("evaluate"),
    message:
        "measure row {wildcards.row}, column {wildcards.column}, seed {wildcards.seed} ({params.machine}; log: {log})"
    shell:
        "{params.launch} evaluate --scale {wildcards.scale} --row {wildcards.row} --column {wildcards.column}"
        " --seed {wildcards.seed} --data {input.data} --model {input.model} --receipt {output.receipt} >> {log} 2>&1"


# Column det: the detections in COCO's format, and the figures by category. (And a gallery, as of seg: the receipt names it, but
# nothing is measured again for a picture.)
use rule evaluate as evaluate_det with:
    output:
        receipt="results/{scale}/evaluate/{row}/{column}/seed{seed}/receipt.json",
        metrics="results/{scale}/evaluate/{row}/{column}/seed{seed}/metrics.json",
        more=multiext("results/{scale}/evaluate/{row}/{column}/seed{seed}/", "detections.json", "categories.csv"),
    wildcard_constraints:
        column="det",


# Column seg: the figures by class.
use rule evaluate as evaluate_seg with:
    output:
        receipt="results/{scale}/evaluate/{row}/{column}/seed{seed}/receipt.json",
        metrics="results/{scale}/evaluate/{row}/{column}/seed{seed}/metrics.json",
        more="results/{scale}/evaluate/{row}/{column}/seed{seed}/categories.csv",
    wildcard_constraints:
        column="seg",


# A row's classifier on a set that is shifted from its own: other images of its classes, corrupted ones, other labels.
rule shift:
    input:
        unpack(inputs("shift")),
    output:
        receipt="results/{scale}/shift/{row}/{dataset}/seed{seed}/receipt.json",
        metrics="results/{scale}/shift/{row}/{dataset}/seed{seed}/metrics.json",
    log:
        "logs/{scale}/shift/{row}/{dataset}/seed{seed}.log",
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
