"""A headless Chromium that is told what to do through its debugging protocol, for the pictures of the docs."""

import base64
import itertools
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

WAIT_SECONDS = 120.0
CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")


class Page:
    """One page of the browser."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=WAIT_SECONDS, suppress_origin=True)
        self._number = itertools.count(1)

    def ask(self, method: str, **what: Any) -> dict[str, Any]:
        """Call a method of the protocol; its result."""
        number = next(self._number)
        self._socket.send(json.dumps({"id": number, "method": method, "params": what}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("id") == number:
                if "error" in said:
                    raise RuntimeError(f"{method}: {said['error']['message']}")
                result: dict[str, Any] = said["result"]
                return result

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']['exception'].get('description')}")
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of a JavaScript expression, once it is true."""
        end = time.monotonic() + WAIT_SECONDS
        while not (value := self.evaluate(expression)):
            if time.monotonic() > end:
                raise RuntimeError(f"never true: {expression}; the page says: {self.evaluate('document.body.innerText')[:400]}")
            time.sleep(0.3)
        return value

    def open(self, address: str, width: int, height: int) -> None:
        """Show a page in a window of some size, in pixels."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url=address)
        self.wait("document.readyState == 'complete'")

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])


@contextmanager
def browser() -> Iterator[Page]:
    """Start a browser with a profile that is thrown away, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        started = subprocess.Popen([*CHROMIUM, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL)
        try:
            yield Page(_address(Path(profile)))
        finally:
            started.terminate()
            started.wait()


def _address(profile: Path) -> str:
    """Where the first page of a browser that has just been started listens."""
    end, said = time.monotonic() + WAIT_SECONDS, profile / "DevToolsActivePort"
    while time.monotonic() < end:
        if said.is_file() and (port := said.read_text().partition("\n")[0]):
            pages = json.load(urlopen(f"http://127.0.0.1:{port}/json"))
            if found := [str(page["webSocketDebuggerUrl"]) for page in pages if page["type"] == "page"]:
                return found[0]
        time.sleep(0.2)
    raise SystemExit("chromium does not start")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
