"""What is trained and measured: each task is a loss, an evaluation and the data they need."""
