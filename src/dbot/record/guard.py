"""DVC keeps results; it never computes them."""

import os

from dbot.base.errors import UserError


def refuse_inside_dvc() -> None:
    """Stop a job that DVC started.

    Raises:
        UserError: this process is a DVC stage's command.
    """
    stage = os.environ.get("DVC_STAGE")
    if stage is not None:
        raise UserError(f"DVC started this as stage {stage!r}, but DVC only keeps results; run `snakemake` or the dbot command itself")
