# The table, the evidence beside it, and their page, from the receipts alone.


rule table:
    input:
        measured(PLAN.cells(), PLAN.cells(PLAN.params.table_rows)),
        PARAMETERS,
    output:
        csv=report(
            f"{RESULTS}/table.csv",
            caption="../report/table.rst",
            category="The table",
            labels={"scale": PLAN.scale, "form": "numbers"},
        ),
        markdown=f"{RESULTS}/table.md",
    log:
        f"{LOGS}/table.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "write the table (log: {log})"
    shell:
        "dbot table --scale {params.scale} --output {output.csv} >> {log} 2>&1"


# Fine-tuning on sets that pre-training has not seen.
rule transfers:
    input:
        measured(PLAN.transfers(), PLAN.transfers(PLAN.params.table_rows)),
        PARAMETERS,
    output:
        csv=report(
            f"{RESULTS}/transfers.csv",
            caption="../report/transfers.rst",
            category="Evidence",
            labels={"scale": PLAN.scale, "form": "numbers"},
        ),
    log:
        f"{LOGS}/transfers.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "write the table of transfers (log: {log})"
    shell:
        "dbot transfers --scale {params.scale} --output {output.csv} >> {log} 2>&1"


# One row varied: numbers and a figure.
rule sweep:
    input:
        lambda wildcards: receipts(PLAN.sweep(wildcards.sweep)),
        PARAMETERS,
    output:
        csv="results/{scale}/sweeps/{sweep}.csv",
        figures=report(
            multiext("results/{scale}/sweeps/{sweep}", ".svg", ".png"),
            caption="../report/sweep.rst",
            category="Evidence",
            labels={"scale": "{scale}", "form": "sweep {sweep}"},
        ),
    log:
        "logs/{scale}/sweeps/{sweep}.log",
    localrule: True
    conda:
        "../../environment.yml"
    message:
        "draw sweep {wildcards.sweep} (log: {log})"
    shell:
        "dbot sweep --scale {wildcards.scale} --name {wildcards.sweep} --output {output.csv} >> {log} 2>&1"


# k-NN and linear probes of every stage and teacher.
rule probes:
    input:
        measured(PLAN.probes(), PLAN.probes(PLAN.params.table_rows)),
        PARAMETERS,
    output:
        csv=report(
            f"{RESULTS}/probes.csv",
            caption="../report/probes.rst",
            category="Evidence",
            labels={"scale": PLAN.scale, "form": "numbers"},
        ),
    log:
        f"{LOGS}/probes.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "write the table of probes (log: {log})"
    shell:
        "dbot probes --scale {params.scale} --output {output.csv} >> {log} 2>&1"


# What happens inside them: numbers, and two figures in the paper's style.
rule analyses:
    input:
        measured(PLAN.analyses(), PLAN.analyses(PLAN.params.table_rows)),
        PARAMETERS,
    output:
        csv=f"{RESULTS}/analyses.csv",
        figures=report(
            multiext(f"{RESULTS}/", "attention_distance.svg", "singular_shares.svg"),
            caption="../report/analyses.rst",
            category="Evidence",
            labels={"scale": PLAN.scale, "form": "figure"},
        ),
        bitmaps=multiext(f"{RESULTS}/", "attention_distance.png", "singular_shares.png"),
    log:
        f"{LOGS}/analyses.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "draw the figures of the analyses (log: {log})"
    shell:
        "dbot analyses --scale {params.scale} --output {output.csv} >> {log} 2>&1"


# Classifiers on sets that are shifted from their own, beside what they cost.
rule shifts:
    input:
        measured(PLAN.shifts(), PLAN.shifts(PLAN.params.table_rows)),
        PARAMETERS,
    output:
        csv=report(
            f"{RESULTS}/shifts.csv",
            caption="../report/shifts.rst",
            category="Evidence",
            labels={"scale": PLAN.scale, "form": "numbers"},
        ),
    log:
        f"{LOGS}/shifts.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "write the table of classifiers on shifted sets (log: {log})"
    shell:
        "dbot shifts --scale {params.scale} --output {output.csv} >> {log} 2>&1"


# Few-shot probes and linear segmentation of every stage and teacher.
rule adaptations:
    input:
        measured(PLAN.adaptations(), PLAN.adaptations(PLAN.params.table_rows)),
        PARAMETERS,
    output:
        csv=report(
            f"{RESULTS}/adaptations.csv",
            caption="../report/adaptations.rst",
            category="Evidence",
            labels={"scale": PLAN.scale, "form": "numbers"},
        ),
    log:
        f"{LOGS}/adaptations.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "write the table of few-shot probes and linear segmentation (log: {log})"
    shell:
        "dbot adaptations --scale {params.scale} --output {output.csv} >> {log} 2>&1"


rule report:
    input:
        measured(PLAN.targets(), PLAN.everything()),
        PARAMETERS,
        table=f"{RESULTS}/table.csv",
    output:
        page=report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="The table",
            labels={"scale": PLAN.scale, "form": "page"},
        ),
    log:
        f"{LOGS}/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    message:
        "write the report page (log: {log})"
    shell:
        "dbot report --scale {params.scale} --output {output.page} >> {log} 2>&1"
