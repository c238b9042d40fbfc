"""Where MLflow lives, and how its address is shown: without the secrets that it may hold."""

import os
import re
from pathlib import Path

DEFAULT_FILE = Path("mlflow.db")
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
"""Variables whose values are never shown."""
FILES = ("sqlite:", "file:", "/", ".")
"""How addresses begin that are files; an @ in one is no password."""


def tracking_uri() -> str:
    """Where MLflow lives: ``MLFLOW_TRACKING_URI``, or a SQLite file in the project."""
    here = DEFAULT_FILE.resolve()
    # A ? in the path would end it; the same file is then named from the project's folder, in which everything runs.
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{DEFAULT_FILE if '?' in str(here) else here}"


def is_there() -> bool:
    """Whether there is a store to ask; False where nothing was ever sent to the project's own file."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or DEFAULT_FILE.exists()


def shown_uri() -> str:
    """The same, without a name, a password or a query that it may hold."""
    uri = tracking_uri()
    return uri if uri.startswith(FILES) else re.sub(r"//.*@", "//", uri).partition("?")[0]


def without_secrets(text: str) -> str:
    """A message of MLflow, of its database or of the network, without what the environment says to keep to itself."""
    found = re.search(r"//(?:[^:@]*:)?(.+)@", tracking_uri())
    secrets = [os.environ.get(name) for name in SECRETS] + ([found[1]] if found and not tracking_uri().startswith(FILES) else [])
    shown = text.replace(tracking_uri(), shown_uri())
    for secret in filter(None, secrets):
        shown = shown.replace(secret, "...")
    return shown
