"""DVC's remotes over S3 and SSH: pushed, pulled, cut off and gone on with; a wrong credential; a full disk at the other end."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbot.cli import main
from dbot.plan import Job
from dbot.versioning.keep import keep
from dbot.versioning.pointer import kept_by
from tests.fakes import FakeProject
from tests.services import servers
from tests.services.servers import ENVIRONMENT, SSHD, Line, Server, wait_for

pytestmark = pytest.mark.services
needs_s3 = pytest.mark.skipif(
    importlib.util.find_spec("dvc_s3") is None or not (ENVIRONMENT / "bin" / "moto_server").exists(),
    reason="needs dvc-s3 and moto (`make test-services` makes environments that have them)",
)
needs_ssh = pytest.mark.skipif(
    importlib.util.find_spec("dvc_ssh") is None or not SSHD.exists(),
    reason="needs dvc-ssh (`make test-services` makes an environment that has it) and sshd (Debian: openssh-server)",
)
DVC = (sys.executable, "-m", "dvc")
LARGE = 48 * 2**20
"""Bytes of a checkpoint that takes a moment to send."""


@dataclass
class Remote:
    """Where things are sent, as seen from its own side."""

    server: Server
    port: str
    url: str
    options: dict[str, str]
    stored: Callable[[], dict[str, int]]
    """By last part of the name, the bytes of each object there, whole or not."""
    wrong: dict[str, str]
    """Options that make the credential a wrong one."""
    disk: Path
    """Where its large files lie."""

    def add(self, port: str | None = None, **instead: str) -> None:
        """Have the project in the working directory send there, or to what stands at another port before it."""

        def at(value: str) -> str:
            return value.replace(f":{self.port}", f":{port or self.port}")

        dvc("remote", "add", "-d", "there", at(self.url), "--force")
        for name, value in {**self.options, **instead}.items():
            dvc("remote", "modify", "--local", "there", name, at(value))


def dvc(*words: str, status: int = 0) -> str:
    done = subprocess.run([*DVC, *words], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


SET_UP = """
import json, sys, urllib.request, boto3
where = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
boto3.client("s3", **where).create_bucket(Bucket="kept")
iam = boto3.client("iam", **where)
iam.create_user(UserName="dvc")
anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
iam.put_user_policy(UserName="dvc", PolicyName="all", PolicyDocument=json.dumps(anything))
key = iam.create_access_key(UserName="dvc")["AccessKey"]
plain = {"Content-Type": "text/plain"}
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/moto-api/reset-auth", b"0", plain))
print(key["AccessKeyId"], key["SecretAccessKey"])
"""
"""Makes a bucket and a key to it; from then on moto asks for the key."""
LISTED = """
import sys, boto3
where = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
for each in boto3.client("s3", **where).list_objects_v2(Bucket="kept").get("Contents", ()):
    print(each["Key"], each["Size"])
"""


@contextmanager
def _s3(folder: Path) -> Iterator[Remote]:
    python, there = ENVIRONMENT / "bin" / "python", folder / "there"
    there.mkdir()
    with servers.s3(folder, there) as (server, port):
        address = f"http://127.0.0.1:{port}"

        def ask(program: str, *words: str) -> str:
            return subprocess.run([python, "-c", program, address, *words], capture_output=True, text=True, check=True).stdout

        key, secret = ask(SET_UP).split()

        def stored() -> dict[str, int]:
            lines = [line.split() for line in ask(LISTED, key, secret).splitlines()]
            return {name.rpartition("/")[2]: int(size) for name, size in lines}

        options = {"endpointurl": address, "region": "us-east-1", "access_key_id": key, "secret_access_key": secret}
        yield Remote(server, port, "s3://kept/dvc", options, stored, {"secret_access_key": "another"}, there)


@contextmanager
def _ssh(folder: Path) -> Iterator[Remote]:
    there = folder / "there"
    there.mkdir()
    with servers.ssh(folder) as (server, port, key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "stranger"], check=True)

        def stored() -> dict[str, int]:
            return {path.name: path.stat().st_size for path in there.rglob("*") if path.is_file()}

        options = {"keyfile": str(key), "allow_agent": "false"}
        url, wrong = f"ssh://127.0.0.1:{port}{there}", {"keyfile": str(folder / "stranger")}
        yield Remote(server, port, url, options, stored, wrong, there)


@pytest.fixture(params=[pytest.param(_s3, marks=needs_s3, id="s3"), pytest.param(_ssh, marks=needs_ssh, id="ssh")])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    (tmp_path / "other").mkdir()
    with request.param(tmp_path / "other") as found:
        yield found


@pytest.fixture
def jobs(kept: FakeProject) -> list[Job]:
    """Jobs whose files DVC has: a data set, and the student of a stage, a large one."""
    last = kept.plan.distill("B-B", "1")
    kept.run_chain(last)
    found = kept.plan.jobs([last])
    keep(found)
    return found


@pytest.fixture
def large(jobs: list[Job]) -> Path:
    """A file that takes a moment to send, kept by DVC with the rest."""
    path = Path("large.bin")
    path.write_bytes(os.urandom(LARGE))
    dvc("add", "-q", str(path))
    return path


def _names(jobs: list[Job]) -> set[Path]:
    return {path for job in jobs for path in kept_by(job)}


def _pulled(folder: Path, here: Path) -> None:
    """A clone that has only what git has, and pulls."""
    for command in (("add", "-A"), ("commit", "-qm", "all of it"), ("clone", "-q", ".", str(folder))):
        subprocess.run(["git", *command], check=True)
    shutil.copy(here / ".dvc" / "config.local", folder / ".dvc")
    os.chdir(folder)
    dvc("pull", "-q")


def test_what_was_pushed_is_pulled_in_a_clone(
    kept: FakeProject, jobs: list[Job], remote: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    remote.add()
    assert main(["push"]) == 0
    assert " objects sent to there (" in capsys.readouterr().out
    assert main(["push"]) == 0
    assert capsys.readouterr().out.startswith("0 objects sent to there (")
    here, wanted = Path.cwd(), {path: path.read_bytes() for path in _names(jobs) if path.is_file()}
    _pulled(here.parent / "clone", here)
    assert {path: path.read_bytes() for path in wanted} == wanted
    assert main(["verify", str(jobs[-1].folder), "--skip-mlflow"]) == 0


def test_a_push_that_was_cut_off_goes_on_and_leaves_nothing_in_pieces(
    jobs: list[Job], large: Path, remote: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line(remote.port)
    line.carry(LARGE // 3)
    remote.add(line.port)
    started = subprocess.Popen([*DVC, "push", "-q", "-j", "1", str(large)], stderr=subprocess.DEVNULL)
    wait_for(lambda: line.is_full or started.poll() is not None, "a third of it to be sent")
    started.kill()
    assert started.wait() == -signal.SIGKILL, "it was at work"
    line.close()
    remote.add()
    assert LARGE not in remote.stored().values()
    assert main(["push"]) == 0
    here, content = Path.cwd(), large.read_bytes()
    assert LARGE in remote.stored().values()
    assert main(["push"]) == 0
    assert "0 objects sent" in capsys.readouterr().out
    _pulled(here.parent / "clone", here)
    assert large.read_bytes() == content


@needs_ssh
def test_an_object_in_pieces_is_sent_again(jobs: list[Job], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a push leaves that is cut off while it writes, of which `dvc push` alone says that it is up to date."""
    (tmp_path / "other").mkdir()
    with _ssh(tmp_path / "other") as remote:
        remote.add()
        assert main(["push"]) == 0
        before = remote.stored()
        piece = max((path for path in (tmp_path / "other" / "there").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        piece.write_bytes(piece.read_bytes()[:-3])
        assert "up to date" in dvc("push")
        capsys.readouterr()
        assert main(["push"]) == 0
        assert capsys.readouterr().out.rstrip().endswith(", 1 of them in place of pieces")
        assert remote.stored() == before


def test_a_wrong_credential_is_one_line(jobs: list[Job], remote: Remote, capfd: pytest.CaptureFixture[str]) -> None:
    remote.add(**remote.wrong)
    assert main(["push"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("dbot push: DVC's remote there (")
    assert re.search("(?i)denied|forbidden|signature", err)
    assert err.endswith("; mend that and run `dbot push` again: what has arrived stays\n")
    assert err.count("\n") == 1
    assert not any(secret in err for name, secret in {**remote.options, **remote.wrong}.items() if "secret" in name)
    remote.add()
    assert main(["push"]) == 0


def test_a_remote_that_is_gone_is_one_line(jobs: list[Job], remote: Remote, capfd: pytest.CaptureFixture[str]) -> None:
    remote.add()
    remote.server.kill()
    assert main(["push"]) == 2
    err = capfd.readouterr().err
    assert err.startswith("dbot push: DVC's remote there (")
    assert err.count("\n") == 1
    remote.server.start()
    assert remote.url.startswith("s3") or main(["push"]) == 0  # moto's bucket went with it


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to mount a small file system")
def test_a_full_disk_at_the_other_end_is_one_line_and_what_did_not_fit_comes_later(
    jobs: list[Job], large: Path, remote: Remote, capfd: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", remote.disk], check=True)
    try:
        remote.add()
        assert main(["push"]) == 2
        err = capfd.readouterr().err
        assert ("its disk may be full" if remote.url.startswith("ssh") else "Internal Server Error") in err
        assert err.count("\n") == 1
        assert sum(remote.stored().values()) < LARGE // 2, "what did not fit was taken away again"
        subprocess.run(["mount", "-o", "remount,size=256m", remote.disk], check=True)
        assert main(["push"]) == 0
        assert LARGE in remote.stored().values()
    finally:
        remote.server.kill()
        subprocess.run(["umount", remote.disk], check=True)
