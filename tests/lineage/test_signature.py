"""Receipts are signed with SSH keys; whoever did not sign, or may not, is found, and named in one line."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbot.base.errors import UserError
from dbot.cli import main
from dbot.lineage import receipt as receipts
from dbot.lineage import signature, surroundings
from dbot.lineage.signature import NotVouched, Signed, UnknownKey
from tests.fakes import FakeProject, do

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
ALLOWED = Path("allowed_signers")
QUICK = ("--skip-images", "--skip-mlflow")


def make_key(path: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Private keys by their owner."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder / name) for name in ("alice", "bob")}


@pytest.fixture
def receipt(project: FakeProject) -> Path:
    """That of one job that is done."""
    job = project.plan.generate("digits")
    project.run(job)
    return job.receipt


def allow(keys: dict[str, Path], options: str = "", *names: str) -> None:
    lines = [f"{name}@example.org {options} {keys[name].with_suffix('.pub').read_text()}" for name in names or ("alice",)]
    ALLOWED.write_text("# who may sign\n" + "".join(lines))


def print_of(key: Path) -> str:
    return subprocess.run(["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True).stdout.split()[1]


def refusal(receipt: Path) -> str:
    """The one line of a signature that counts for nothing."""
    with pytest.raises(UserError) as caught:
        signature.verify(receipt, ALLOWED)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_signature_names_its_signer(receipt: Path, keys: dict[str, Path]) -> None:
    allow(keys, "", "bob", "alice")
    signature.sign([receipt], str(keys["alice"]))
    assert signature.verify(receipt, ALLOWED) == Signed("alice@example.org", print_of(keys["alice"]))
    receipt.write_bytes(receipt.read_bytes().replace(b"\n", b"\r\n"))
    assert signature.verify(receipt, ALLOWED).signer == "alice@example.org", "as git may have it on another system"


def test_what_openssh_alone_is_told_holds_too(receipt: Path, keys: dict[str, Path]) -> None:
    allow(keys)
    signature.sign([receipt], str(keys["alice"]))
    command = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        "allowed_signers",
        "-I",
        "alice@example.org",
        "-n",
        "receipt@dbot",
        "-s",
        f"{receipt}.sig",
    ]
    done = subprocess.run(command, stdin=receipt.open("rb"), capture_output=True, check=True)
    assert b"Good" in done.stdout


def test_a_key_of_nobody_known(receipt: Path, keys: dict[str, Path]) -> None:
    signature.sign([receipt], str(keys["bob"]))
    with pytest.raises(UnknownKey, match="allowed_signers: is not here") as caught:
        signature.verify(receipt, ALLOWED)
    assert caught.value.key == print_of(keys["bob"])
    allow(keys)
    assert refusal(receipt).startswith(
        f"{receipt}.sig: was made by {print_of(keys['bob'])}, which allowed_signers doesn't list; add a line"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('valid-before="20200101"', "which has expired by allowed_signers (key has expired: verify time"),
        ('valid-after="29990101"', "which is not valid yet by allowed_signers"),
        ('namespaces="git"', "which may not sign for receipt@dbot by allowed_signers"),
        ("misspelt", "which allowed_signers doesn't list (allowed_signers:2:"),
    ],
)
def test_a_key_that_does_not_count(receipt: Path, keys: dict[str, Path], options: str, said: str) -> None:
    allow(keys, options)
    signature.sign([receipt], str(keys["alice"]))
    assert said in refusal(receipt)
    with pytest.raises(NotVouched):
        signature.verify(receipt, ALLOWED)


def test_none_at_all(receipt: Path, keys: dict[str, Path]) -> None:
    allow(keys)
    assert refusal(receipt) == f"{receipt}: has no signature (receipt.json.sig beside it); `dbot sign {receipt}` makes one"


def test_a_receipt_that_was_altered_and_sealed_anew(receipt: Path, keys: dict[str, Path]) -> None:
    allow(keys)
    signature.sign([receipt], str(keys["alice"]))
    said = receipts.read(receipt).model_dump(exclude={"format", "id"})
    receipts.write(receipts.make(**{**said, "results": {"loss": 0.1}}), receipt)
    assert "receipt.json.sig: is not the signature of the receipt beside it" in refusal(receipt)


def test_a_signature_of_another_receipt(project: FakeProject, receipt: Path, keys: dict[str, Path]) -> None:
    allow(keys)
    other = project.plan.prepare("digits")
    project.run(other)
    signature.sign([other.receipt], str(keys["alice"]))
    shutil.copy(signature.path_of(other.receipt), signature.path_of(receipt))
    assert "is not the signature of the receipt beside it" in refusal(receipt)


@pytest.mark.parametrize("content", ["", "no signature", "git"])
def test_a_file_that_is_no_signature_of_a_receipt(receipt: Path, keys: dict[str, Path], content: str) -> None:
    allow(keys)
    path = signature.path_of(receipt)
    path.write_text(content)
    if content == "git":
        with receipt.open("rb") as text, path.open("wb") as out:
            subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(keys["alice"]), "-n", "git"], stdin=text, stdout=out, check=True)
    assert re.search(r"receipt\.json\.sig: is (for something else than receipts|not a signature \()", refusal(receipt))


def test_every_bit_of_a_signature_counts(receipt: Path, keys: dict[str, Path]) -> None:
    allow(keys)
    signature.sign([receipt], str(keys["alice"]))
    path = signature.path_of(receipt)
    content = path.read_bytes()
    for place in range(60, len(content) - 60, 29):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        refusal(receipt)


@pytest.fixture
def agent(keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent of the test's own that holds alice's key."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    for name in ("SSH_AUTH_SOCK", "SSH_AGENT_PID"):
        monkeypatch.setenv(name, re.search(rf"{name}=([^;]+);", said)[1])  # type: ignore[index]
    subprocess.run(["ssh-add", "-q", str(keys["alice"])], check=True)
    yield
    subprocess.run(["ssh-agent", "-k"], capture_output=True, check=True)


@pytest.mark.usefixtures("agent")
def test_a_key_that_only_an_agent_holds(receipt: Path, keys: dict[str, Path], tmp_path: Path) -> None:
    allow(keys)
    public = tmp_path / "only.pub"
    shutil.copy(keys["alice"].with_suffix(".pub"), public)
    for key in (str(public), f"key::{public.read_text().strip()}"):
        signature.path_of(receipt).unlink(missing_ok=True)
        signature.sign([receipt], key)
        assert signature.verify(receipt, ALLOWED).signer == "alice@example.org"


def test_a_key_that_cannot_sign_is_one_line_without_a_secret(receipt: Path, keys: dict[str, Path], tmp_path: Path) -> None:
    public, locked = tmp_path / "public.pub", make_key(tmp_path / "locked", "a passphrase")
    shutil.copy(keys["bob"].with_suffix(".pub"), public)
    for key, said in ((str(public), "No private key found"), ("nowhere", "there is no such file"), (str(receipt), "can't sign with it")):
        with pytest.raises(UserError, match=said):
            signature.sign([receipt], key)
    asks_nobody = {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in asks_nobody.items():
            patch.setenv(name, value)
        with pytest.raises(UserError, match="passphrase"):
            signature.sign([receipt], str(locked))
    with pytest.raises(UserError) as caught:
        signature.sign([receipt], keys["alice"].read_text())
    assert "--key holds a key" in str(caught.value)
    assert keys["alice"].read_text().splitlines()[1] not in str(caught.value)
    assert not signature.path_of(receipt).exists()


def test_a_job_done_again_keeps_a_signature_of_the_same_result_alone(
    project: FakeProject, receipt: Path, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(keys)
    signature.sign([receipt], str(keys["alice"]))
    receipt.unlink()
    project.run(project.plan.generate("digits"))
    assert signature.verify(receipt, ALLOWED).signer == "alice@example.org"
    monkeypatch.setattr(surroundings, "code_digest", lambda: "0" * 64)
    project.run(project.plan.generate("digits"))
    assert not signature.path_of(receipt).exists()


@pytest.fixture
def cell(project: FakeProject, keys: dict[str, Path]) -> FakeProject:
    """A cell and all behind it, and alice may sign."""
    project.run_chain(project.plan.evaluate("B-B", "cls", "0"))
    allow(keys)
    return project


def ask_for(project: FakeProject, what: str) -> None:
    project.set("required: none", f"required: {what}")


def test_who_vouches_for_a_cell_is_shown(cell: FakeProject, keys: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    print_ = print_of(keys["alice"])
    assert main(["sign", "B-B/cls", "--key", str(keys["alice"])]) == 0
    assert capsys.readouterr().out == f"signed evaluate/B-B/cls/seed0 and 5 receipts more, as alice@example.org ({print_})\n"
    assert main(["verify", *QUICK]) == 0
    said = capsys.readouterr().out
    assert f"  6 receipts signed by alice@example.org ({print_})\n" in said
    assert "  alice@example.org vouches for evaluate/B-B/cls/seed0\n" in said
    assert main(["verify", *QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["vouched_for"] == {"evaluate/B-B/cls/seed0": "alice@example.org"}
    assert found["signatures"]["distill/B-B/stage1"] == {"signer": "alice@example.org", "key": print_}

    allow(keys, "", "alice", "bob")
    assert main(["sign", "all", "--key", str(keys["bob"])]) == 0
    assert capsys.readouterr().out == "6 had a signature already, by alice@example.org; --again replaces it\n"
    assert main(["sign", "B-B/cls", "--again", "--key", str(keys["bob"])]) == 0
    assert signature.verify(cell.plan.distill("B-B", "1").receipt, ALLOWED).signer == "bob@example.org"


def test_signatures_that_are_asked_for_have_to_be_there(
    cell: FakeProject, keys: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated, prepared = cell.plan.evaluate("B-B", "cls", "0").receipt, cell.plan.prepare("digits").receipt
    assert main(["verify", *QUICK]) == 0, "nobody asks for any"
    ask_for(cell, "results")
    assert main(["verify", *QUICK]) == 2
    assert f"{evaluated}: has no signature" in capsys.readouterr().err
    signature.sign([evaluated], str(keys["alice"]))
    assert main(["verify", *QUICK]) == 0
    cell.set("required: results", "required: all")
    assert main(["verify", *QUICK]) == 2
    assert "generate/digits/receipt.json: has no signature" in capsys.readouterr().err
    assert main(["sign", "all", "--key", str(keys["alice"])]) == 0
    assert main(["verify", *QUICK]) == 0
    signature.sign([prepared], str(keys["bob"]))
    capsys.readouterr()
    assert main(["verify", *QUICK]) == 2
    assert "which allowed_signers doesn't list" in capsys.readouterr().err


def test_a_signature_of_nobody_known_is_told_and_a_false_one_fails_unasked(
    cell: FakeProject, keys: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sign", "B-B/cls", "--key", str(keys["bob"])]) == 0
    assert "but this key counts for nothing yet" in capsys.readouterr().out
    assert main(["verify", *QUICK]) == 0
    assert (
        "doesn't list; add a line `NAME KEY` for it if you trust it, else sign again; 5 more count for nothing" in capsys.readouterr().out
    )
    assert main(["sign", "B-B/cls", "--key", str(keys["alice"])]) == 0
    assert f"6 had a signature already, by {print_of(keys['bob'])}" in capsys.readouterr().out
    of = {verb: signature.path_of(cell.plan.job(verb, "digits").receipt) for verb in ("generate", "prepare")}
    shutil.copy(of["generate"], of["prepare"])
    assert main(["verify", *QUICK]) == 2
    assert "prepare/digits/receipt.json.sig: is not the signature of the receipt beside it" in capsys.readouterr().err


def test_what_does_not_hold_is_not_signed(cell: FakeProject, keys: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    (cell.plan.distill("B-B", "1").folder / "student.safetensors").write_bytes(b"another")
    assert main(["sign", "B-B/cls", "--key", str(keys["alice"])]) == 2
    assert "is not the file on its receipt" in capsys.readouterr().err
    assert not list(Path("results").rglob("*.sig"))


def test_the_key_of_git_is_the_one_unless_another_is_named(
    kept: FakeProject, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    job = kept.plan.generate("digits")
    do(job)
    allow(keys)
    assert main(["sign", str(job.receipt)]) == 2
    assert "no key to sign with" in capsys.readouterr().err
    subprocess.run(["git", "config", "user.signingkey", str(keys["alice"])], check=True)
    assert main(["sign", str(job.receipt)]) == 0
    assert signature.verify(job.receipt, ALLOWED).signer == "alice@example.org"
    path = signature.path_of(job.receipt).as_posix()
    assert subprocess.run(["git", "check-ignore", "-q", path], check=False).returncode == 1, "git takes it"
    assert path in subprocess.run(["git", "status", "--porcelain", "-uall"], capture_output=True, text=True, check=True).stdout
