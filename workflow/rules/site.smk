# What this site asks for on behalf of every job (see site.example.yaml): account, partition, type of GPU.
# A value from the command line or a profile takes precedence.
for each in workflow.rules:
    with_gpus = bool(PLAN.gpus(each.name))
    for name, value in SITE.requests(gpus=with_gpus).items():
        if name not in each.resources:
            each.resources[name] = value
