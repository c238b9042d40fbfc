"""params.yaml: its typed models, its reading, and where each value came from."""
