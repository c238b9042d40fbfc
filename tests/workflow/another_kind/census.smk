# Images of a data set by class.


rule census:
    input:
        unpack(inputs("census")),
    output:
        receipt="results/{scale}/census/{dataset}/receipt.json",
        counts="results/{scale}/census/{dataset}/counts.tsv",
    log:
        "logs/{scale}/census/{dataset}.log",
    threads: threads("census")
    resources:
        **requests("census"),
    params:
        launch=launch("census"),
    shell:
        "{params.launch} census --scale {wildcards.scale} --dataset {wildcards.dataset} --data {input.data}"
        " --receipt {output.receipt} >> {log} 2>&1"
