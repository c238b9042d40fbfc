# The throughput of one device for each kind of training, which forecasts rest on. Nothing else needs it:
# `snakemake calibrate` runs it where the jobs will run.


rule calibrate:
    output:
        f"{RESULTS}/calibration.json",
    log:
        f"{LOGS}/calibrate.log",
    conda:
        "../../environment.yml"
    threads: threads("calibrate")
    resources:
        **requests("calibrate"),
    params:
        scale=PLAN.scale,
    message:
        "measure throughput (log: {log})"
    shell:
        "dbot calibrate --scale {params.scale} --output {output} >> {log} 2>&1"
