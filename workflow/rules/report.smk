# The table and its page, from the receipts alone.


rule table:
    input:
        receipts(PLAN.cells()),
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
        also=also_measured,
    message:
        "write the table (log: {log})"
    shell:
        "dbot table --scale {params.scale} --output {output.csv} >> {log} 2>&1"


rule report:
    input:
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
