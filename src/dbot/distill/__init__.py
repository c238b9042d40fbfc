"""What this project is about: masks, targets, the loss, and the boundary between stages."""
