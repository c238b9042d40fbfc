# How like the students of two rows are, layer by layer.


rule compare:
    input:
        unpack(inputs("compare")),
    output:
        receipt="results/{scale}/compare/{row}/{other}/receipt.json",
        table="results/{scale}/compare/{row}/{other}/cka.csv",
        pictures=multiext("results/{scale}/compare/{row}/{other}/cka", ".svg", ".png"),
        metrics="results/{scale}/compare/{row}/{other}/metrics.json",
    log:
        "logs/{scale}/compare/{row}/{other}.log",
    conda:
        "../../environment.yml"
    threads: threads("compare")
    resources:
        **requests("compare"),
    params:
        launch=launch("compare"),
        machine=machine("compare"),
    message:
        "compare the students of rows {wildcards.row} and {wildcards.other} ({params.machine}; log: {log})"
    shell:
        "{params.launch} compare --scale {wildcards.scale} --row {wildcards.row} --other {wildcards.other}"
        " --data {input.data} --student {input.student} --second {input.second} --receipt {output.receipt} >> {log} 2>&1"
