"""What jobs need of a cluster: their start on nodes and GPUs, Slurm's answers, the checks before anything is submitted."""
