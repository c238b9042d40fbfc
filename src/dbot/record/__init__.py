"""What proves, keeps and shows the work: receipts, lineage, DVC and MLflow. Called at the edge of a job only."""
