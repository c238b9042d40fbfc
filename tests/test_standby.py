"""A process that stands by does what a command line says as if it had been started by itself."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbot.base import standby
from tests.conftest import PROJECT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks only on Linux")
SERVER = """
import sys
from pathlib import Path
from dbot.commands import standby
from tests.a_job import main
standby.serve(Path(sys.argv[1]), main)
"""
CLIENT = "import sys; from dbot.base import standby; sys.exit(standby.die_of(standby.done_there(sys.argv[1:]) or 0))"
ALONE = "import sys; from dbot.base import standby; print(standby.done_there(sys.argv[1:]))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    path = tmp_path_factory.mktemp("standby") / "socket"
    environment = os.environ | dict.fromkeys(standby.THREADS, "1")
    with subprocess.Popen([sys.executable, "-c", SERVER, path], cwd=PROJECT, env=environment, stdin=subprocess.PIPE) as process:
        while not path.exists():
            assert process.poll() is None, "it has ended by itself"
            time.sleep(0.01)
        try:
            yield path, process
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
        finally:
            process.kill()  # also where a test left it with a job that never ends
        assert not path.exists()


def asked(path: Path, *arguments: str, code: str = CLIENT, **variables: str) -> "subprocess.Popen[str]":
    environment = (
        os.environ | dict.fromkeys(standby.THREADS, "1") | {standby.ADDRESS: str(path), "PYTHONPATH": str(PROJECT / "src")} | variables
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=path.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_has_the_folder_the_variables_and_the_streams_of_whoever_asked(server: tuple[Path, "subprocess.Popen[bytes]"]) -> None:
    path, process = server
    client = asked(path, "say", "hello", MEANT="for the job")
    out, err = client.communicate(timeout=20)
    assert client.returncode == 3
    said = dict(line.split("=", 1) for line in out.splitlines())
    assert said["folder"] == str(path.parent)
    assert said["variable"] == "for the job"
    assert said["address"] == "None"  # what it starts itself does not come back here
    assert said["arguments"] == "['say', 'hello']"
    assert said["parent"] == str(process.pid)
    assert err == "an error\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_hears_signals_once_and_ends_as_it_says(server: tuple[Path, "subprocess.Popen[bytes]"], number: signal.Signals) -> None:
    client = asked(server[0], "listen")
    assert client.stdout is not None
    assert client.stdout.readline() == "listening\n"
    client.send_signal(number)
    out, _ = client.communicate(timeout=20)
    assert out == f"heard {number.value}\n"
    assert client.returncode == 7


def test_dies_with_whoever_asked_and_the_other_way_round(server: tuple[Path, "subprocess.Popen[bytes]"]) -> None:
    client = asked(server[0], "listen")
    assert client.stdout is not None
    assert client.stdout.readline() == "listening\n"
    client.kill()
    assert client.stdout.read() == ""  # the job held the other end, until it was gone too
    client.wait(20)
    client = asked(server[0], "die")
    client.communicate(timeout=20)
    assert client.returncode == -signal.SIGKILL


def test_an_error_ends_in_its_traceback(server: tuple[Path, "subprocess.Popen[bytes]"]) -> None:
    client = asked(server[0], "fail")
    _, err = client.communicate(timeout=20)
    assert client.returncode == 1
    assert "ValueError: as it was asked to" in err


@pytest.mark.parametrize(
    "variables",
    [
        {"OMP_NUM_THREADS": "2"},  # libraries have read it already
        {"RANK": "0"},  # one of several processes
        {standby.ADDRESS: "/nowhere"},
        {standby.ADDRESS: ""},
    ],
)
def test_whoever_it_does_not_fit_starts_by_itself(server: tuple[Path, "subprocess.Popen[bytes]"], variables: dict[str, str]) -> None:
    out, _ = asked(server[0], "say", code=ALONE, **variables).communicate(timeout=20)
    assert out == "None\n"
