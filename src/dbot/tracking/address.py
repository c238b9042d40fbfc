"""Where MLflow lives, how its address is shown (without the secrets that it may hold), and how long a job waits for it."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def is_file() -> bool:
    """Whether MLflow lives in a file, so that nobody has to start it."""
    return tracking_uri().startswith(FILES)


def shown_uri() -> str:
    """The same, without a name, a password or a query that it may hold."""
    uri = tracking_uri()
    return uri if is_file() else re.sub(r"//.*@", "//", uri).partition("?")[0]


def without_secrets(text: str) -> str:
    """A message of MLflow, of its database or of the network, without what the environment says to keep to itself."""
    found = re.search(r"//(?:[^:@]*:)?(.+)@", tracking_uri())
    secrets = [os.environ.get(name) for name in SECRETS] + ([found[1]] if found and not is_file() else [])
    shown = text.replace(tracking_uri(), shown_uri())
    for secret in filter(None, secrets):
        shown = shown.replace(secret, "...")
    return shown


class Patience:
    """A client of MLflow whose calls may take only so long, all together."""

    def __init__(self, client: Any, allowed: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        """Around a client.

        Args:
            client: whose calls are timed.
            allowed: how many seconds its calls may have taken so far; the call that goes beyond is the last.
            clock: gives seconds.
        """
        self._client = client
        self._allowed = allowed
        self._clock = clock
        self._spent = 0.0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._spent > self._allowed():
                raise TimeoutError(f"it is slow: {self._spent:.0f} s spent on waiting for it")
            began = self._clock()
            try:
                return call(*args, **kwargs)
            finally:
                self._spent += self._clock() - began

        return timed
