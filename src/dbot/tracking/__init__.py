"""What shows the work: MLflow, fed while a job runs and completed from its receipt."""
