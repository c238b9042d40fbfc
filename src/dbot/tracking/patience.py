"""How long a job waits for MLflow, all together."""

import time
from collections.abc import Callable
from typing import Any


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
