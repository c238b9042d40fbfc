"""What keeps the work: DVC, with a `.dvc` file beside every file that git is too small for."""
