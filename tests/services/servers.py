"""Servers on this machine alone: PostgreSQL, MLflow behind its basic auth, S3 (moto) and SSH."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import PROJECT
from tests.processes import free_port

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
SSHD = Path("/usr/sbin/sshd")
ENVIRONMENT = Path(os.environ.get("DBOT_SERVICES", PROJECT / "build" / "services-environment")).absolute()
"""Where moto and the validators are installed, whose versions and DVC's don't go together; `make test-services` makes it."""
START_SECONDS = 180.0
PASSWORD = "a-password-of-twenty"


def wait_for(is_so: Callable[[], bool], what: str, every: float = 0.2) -> None:
    """Wait until something is so, for as long as a server may take to start."""
    end = time.monotonic() + START_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(every)


def answers(address: str) -> bool:
    """Whether a web server answers at all."""
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _as_somebody(folder: Path) -> Sequence[str]:
    """How a command is run that root may not run: by PostgreSQL's own user, to whom the folder is given."""
    if os.getuid() != 0:
        return ()
    who = next(name for name in ("postgres", "nobody") if name in {each.pw_name for each in pwd.getpwall()})
    shutil.chown(folder, who)
    return ("runuser", "-u", who, "--")


@dataclass
class Server:
    """A server that can be killed and started again."""

    command: Sequence[str]
    log: Path
    is_up: Callable[[], bool]
    environment: dict[str, str] = field(default_factory=dict)
    ends_by: int = signal.SIGKILL
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env={**os.environ, **self.environment}, start_new_session=True
            )
        wait_for(self._is_up, f"{self.command[0]} to start; {self.log} says why")

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        return self.is_up()

    def kill(self) -> None:
        """At once, with all its processes, whatever they are doing."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, self.ends_by)
            self.process.wait()
            wait_for(lambda: not self.is_up(), f"{self.command[0]} to end")


@contextmanager
def postgres() -> Iterator[tuple[Server, str]]:
    """PostgreSQL with an empty database; yields it and its address. TCP on loopback asks for a password."""
    (programs,) = POSTGRES
    folder = Path(tempfile.mkdtemp(prefix="dbot-postgres-"))
    try:
        somebody, data, port, secret = _as_somebody(folder), folder / "data", free_port(), folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        made = ("-D", data, "-U", "dbot", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync")
        subprocess.run([*somebody, programs / "initdb", *made], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        options = ("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off", "-p", port)
        ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
        command = [*somebody, str(programs / "postgres"), "-D", str(data), *options]
        server = Server(command, folder / "log", lambda: subprocess.run(ready, check=False).returncode == 0)
        server.ends_by = signal.SIGQUIT  # its immediate end, as after a crash; what is killed harder leaves children that linger
        server.start()
        try:
            yield server, f"postgresql+psycopg2://dbot:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def mlflow(folder: Path, database: str) -> Iterator[tuple[Server, str]]:
    """MLflow's server on a database, behind its basic auth, with a user `trainer`; yields it and its address."""
    settings, port = folder / "auth.ini", free_port()
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\nauth_cache_ttl_seconds = 60\n"
        f"database_uri = sqlite:///{folder}/auth.db\nadmin_username = admin\nadmin_password = {PASSWORD}-too\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of these tests",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # processes of its own, for what nobody here asks of it
    }
    where = ("--host", "127.0.0.1", "--port", port, "--workers", "2")
    stores = ("--backend-store-uri", database, "--artifacts-destination", str(folder / "artifacts"))
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", *stores, *where]
    server = Server(command, folder / "mlflow.log", lambda: answers(f"{address}/health"), environment)
    server.start()
    try:
        yield server, address
    finally:
        server.kill()


@contextmanager
def s3(folder: Path, there: Path) -> Iterator[tuple[Server, str]]:
    """moto's S3, which forgets everything when it ends; yields it and its port. Objects of over 5 MB lie in files in a folder."""
    port = free_port()
    command = [str(ENVIRONMENT / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", port]
    up = f"http://127.0.0.1:{port}/moto-api/data.json"
    server = Server(command, folder / "moto.log", lambda: answers(up), {"TMPDIR": str(there)})
    server.start()
    try:
        yield server, port
    finally:
        server.kill()


class Line:
    """A line to a server, which can be made to carry no more than some bytes to it, and then nothing at all."""

    def __init__(self, port: str) -> None:
        """A port of its own, at which what is sent goes on to another."""
        self._server = ("127.0.0.1", int(port))
        self._left: int | None = None
        self._full, self._free, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._free.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def carry(self, most: int) -> None:
        """From now on, no more bytes than these."""
        with self._lock:
            self._left = most
        self._free.clear()

    @property
    def is_full(self) -> bool:
        """Whether something waits to be carried."""
        return self._full.is_set()

    def close(self) -> None:
        self._listener.close()
        self._free.set()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._server)
                for source, target, counted in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=(source, target, counted), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while content := source.recv(2**16):
                if counted and not self._takes(len(content)):
                    self._full.set()
                    self._free.wait()
                    break
                target.sendall(content)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _takes(self, size: int) -> bool:
        with self._lock:
            if self._left is not None:
                self._left -= size
            return self._left is None or self._left >= 0


@contextmanager
def ssh(folder: Path) -> Iterator[tuple[Server, str, Path]]:
    """An sshd that knows one key; yields it, its port and the file of the key."""
    port, keys = free_port(), [folder / "host", folder / "user"]
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (folder / "known").write_text((folder / "user.pub").read_text())
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "known",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "Subsystem": "sftp internal-sftp",
        "MaxStartups": "100",
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)

    def is_up() -> bool:
        scan = ["ssh-keyscan", "-p", port, "127.0.0.1"]
        return bool(subprocess.run(scan, capture_output=True, check=False).stdout)

    server = Server([str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")], folder / "sshd.log", is_up)
    server.start()
    try:
        yield server, port, folder / "user"
    finally:
        server.kill()
