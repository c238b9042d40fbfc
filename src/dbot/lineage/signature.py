"""Signatures of receipts, made and checked by `ssh-keygen -Y` as git does with commits: who vouches for a result.

A signature lies beside its receipt, as ``receipt.json.sig``. It is of the one text that says what the receipt says, so a checkout
with other ends of lines holds as well. A receipt names what it was made from by id, so whoever signs one vouches for all behind it.
Reference: PROTOCOL.sshsig and ssh-keygen(1) of OpenSSH, from version 8.9 on.
"""

import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from dbot.base import git
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage import receipt as receipts
from dbot.lineage.receipt import Receipt
from dbot.params.scales import Signatures

NAMESPACE = "receipt@dbot"
"""What a signature is for: one that was made for git or for mail is none of a receipt."""
SUFFIX = ".sig"
BEGINS = b"-----BEGIN SSH SIGNATURE-----"
PUBLIC = ("ssh-", "ecdsa-", "sk-")
"""How a public key begins where it is written out."""
THREADS = 8


class NotVouched(UserError):
    """A receipt has no signature that counts here, though none is known to be false."""


class UnknownKey(NotVouched):
    """It has one of a key that nobody here knows."""

    def __init__(self, problem: str, key: str) -> None:
        super().__init__(problem)
        self.key = key


class NoProgram(UserError):
    """There is no ssh-keygen."""


@dataclass(frozen=True)
class Signed:
    """Who vouches for a receipt."""

    signer: str
    """As the file of allowed signers calls the key."""
    key: str
    """Fingerprint, ``SHA256:…``."""


@dataclass
class Vouched:
    """What the signatures of some receipts come to."""

    by: dict[Path, Signed] = field(default_factory=dict)
    """By receipt."""
    notes: list[str] = field(default_factory=list)
    """Signatures that count for nothing here, and why."""


def path_of(receipt: Path) -> Path:
    """Where the signature of a receipt lies."""
    return receipt.with_name(receipt.name + SUFFIX)


def sign(paths: Sequence[Path], key: str) -> None:
    """Sign receipts, all with one start of ssh-keygen, so that a passphrase is asked for once.

    Args:
        paths: of the receipts.
        key: a private key's file, or a public one's (or the key itself, ``key::ssh-ed25519 …``) whose other half an agent holds.

    Raises:
        UserError: one is no sound receipt, or ssh-keygen can't sign with the key.
    """
    texts = [receipts.text(receipts.read(path)) for path in paths]
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder, f"{number}.json") for number in range(len(paths))]
        for name, text in zip(names, texts, strict=True):
            name.write_bytes(text)
        file, shown = _key_file(key, Path(folder))
        # The terminal stays ssh-keygen's own: it asks there for a passphrase, which never passes through here.
        done = _ssh_keygen("sign", "-f", str(file), "-n", NAMESPACE, *map(str, names))
        made = [path_of(name) for name in names]
        if done.returncode or not all(path.is_file() for path in made):
            raise UserError(
                f"{shown}: ssh-keygen can't sign with it ({_reason(done)}); name an SSH key with --key, or load it into your agent"
            )
        for path, signature in zip(paths, made, strict=True):
            write_whole(path_of(path), signature.read_bytes())


def verify(receipt: Path, allowed: Path) -> Signed:
    """Who vouches for a receipt, by the signature beside it.

    Args:
        receipt: its file, wherever it lies.
        allowed: the file of allowed signers, as ssh-keygen(1) describes it. A key counts while that says so: now, whenever it signed.

    Raises:
        NotVouched: there is no signature, or one by a key that the file doesn't list, or not for receipts, or not for this day.
        UserError: the signature is of another text, or is none.
    """
    path = path_of(receipt)
    text = receipts.text(receipts.read(receipt))
    if not path.is_file():
        raise NotVouched(f"{receipt}: has no signature ({path.name} beside it); `dbot sign {receipt}` makes one")
    key = fingerprint(path, text)
    if not allowed.is_file():
        problem = f"{allowed}: is not here, and lists who may sign; make it, with a line `NAME KEY` for {key}, which signed {receipt}"
        raise UnknownKey(problem, key)
    found = _ssh_keygen("find-principals", "-s", str(path), "-f", str(allowed))
    said = [found]
    for line in found.stdout.decode(errors="replace").splitlines() if found.returncode == 0 else []:
        name = line.split(",")[0].strip()
        said.append(_ssh_keygen("verify", "-f", str(allowed), "-I", name, "-n", NAMESPACE, "-s", str(path), text=text))
        if said[-1].returncode == 0:
            return Signed(name, key)
    if refusal := _refusal(said, allowed):
        raise NotVouched(f"{path}: was made by {key}, {refusal}; sign again with a key that counts")
    damaged = next((line for line in _lines(said) if line.startswith(f"{allowed}:")), None)
    told = f" ({damaged})" if damaged else ""
    problem = (
        f"{path}: was made by {key}, which {allowed} doesn't list{told}; add a line `NAME KEY` for it if you trust it, else sign again"
    )
    raise UnknownKey(problem, key)


def fingerprint(signature: Path, text: bytes) -> str:
    """The key that made a signature of a text, whoever's it is.

    Raises:
        UserError: it is of another text, or is no signature.
    """
    done = _ssh_keygen("check-novalidate", "-n", NAMESPACE, "-s", str(signature), text=text)
    if done.returncode == 0:
        return done.stdout.decode().split()[-1]
    reason = _reason(done)
    if "incorrect signature" in reason:
        raise UserError(
            f"{signature}: is not the signature of the receipt beside it, which was made anew or altered; `dbot sign` makes another"
        )
    what = "for something else than receipts" if "namespace" in reason else f"not a signature ({reason})"
    raise UserError(f"{signature}: is {what}; restore it, or delete it and sign again")


def drop_other(receipt: Path) -> None:
    """Remove a signature of what lay here before: of a job that was done again with another result. Without ssh-keygen it stays."""
    path = path_of(receipt)
    if path.is_file():
        try:
            fingerprint(path, receipts.text(receipts.read(receipt)))
        except NoProgram:
            return
        except UserError:
            path.unlink()


def vouched(found: Mapping[Path, Receipt], results: Collection[Path], rules: Signatures) -> Vouched:
    """Check the signatures beside some receipts against what params.yaml asks for.

    Args:
        found: the receipts, by path.
        results: those of results, among them.
        rules: what has to be signed, and where the keys stand.

    Raises:
        UserError: a signature is false; or one that has to be there is missing, or its key is not allowed.
    """
    allowed, required = Path(rules.allowed_signers), {"none": (), "results": results, "all": found.keys()}[rules.required]
    wanted = [path for path in found if path in required or path_of(path).is_file()]
    told, loose = Vouched(), list[str]()
    with ThreadPoolExecutor(THREADS) as pool:
        for path, answer in zip(wanted, pool.map(lambda path: _looked_at(path, allowed), wanted), strict=True):
            if isinstance(answer, Signed):
                told.by[path] = answer
            elif path in required or not isinstance(answer, NotVouched):
                raise answer
            else:
                loose.append(str(answer))
    if loose:
        more = f"; {len(loose) - 1} more count for nothing either" if loose[1:] else ""
        told.notes.append(f"signatures: {loose[0]}{more}")
    if told.by and git.is_whole() is not None and allowed not in git.committed(allowed):
        told.notes.append(f"signatures: {allowed} is not as the last commit has it")
    return told


def _looked_at(path: Path, allowed: Path) -> Signed | UserError:
    try:
        return verify(path, allowed)
    except UserError as error:
        return error


def _refusal(said: "Sequence[subprocess.CompletedProcess[bytes]]", allowed: Path) -> str | None:
    """Why a key doesn't count that the file lists, by what ssh-keygen said of it."""
    for part, what in (
        ("has expired", "which has expired"),
        ("is not yet valid", "which is not valid yet"),
        ("is not permitted", f"which may not sign for {NAMESPACE}"),
    ):
        if line := next((line for line in _lines(said) if part in line), None):
            return f"{what} by {allowed} ({line.partition(': ')[2]})"
    return None


def _lines(said: "Sequence[subprocess.CompletedProcess[bytes]]") -> list[str]:
    return [line for done in said for line in done.stderr.decode(errors="replace").splitlines()]


def _key_file(key: str, folder: Path) -> tuple[Path, str]:
    """The file of a key, and what messages call it.

    Raises:
        UserError: there is none. What a private key says is never repeated.
    """
    if "PRIVATE KEY" in key or "\n" in key.strip():
        raise UserError("--key holds a key, and not the name of its file; name the file, and take the key out of your shell's history")
    written = key.removeprefix("key::")
    if written.startswith(PUBLIC) and " " in written:
        file = folder / "key.pub"
        file.write_text(f"{written}\n")
        return file, written.split()[0]
    file = Path(key).expanduser()
    if not file.is_file():
        raise UserError(f"{key}: there is no such file; name an SSH key with --key, or in `git config user.signingkey`")
    return file, key


def _ssh_keygen(action: str, *arguments: str, text: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    """Run ``ssh-keygen -Y``.

    Raises:
        NoProgram: it isn't there, or can't do that.
    """
    command = ["ssh-keygen", "-Y", action, *arguments]
    try:
        done = subprocess.run(command, input=b"" if text is None else text, capture_output=True, check=False)
    except OSError as error:
        raise NoProgram(f"ssh-keygen can't be run ({error}); install OpenSSH, 8.9 or newer") from None
    if b"unknown option" in done.stderr or b"illegal option" in done.stderr or b"nsupported operation for -Y" in done.stderr:
        raise NoProgram("ssh-keygen is too old to sign files; install OpenSSH, 8.9 or newer")
    return done


def _reason(done: "subprocess.CompletedProcess[bytes]") -> str:
    """What ssh-keygen says of a failure, in one line."""
    lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith(("Signing ", "Write signature"))]
    return lines[0].removeprefix("Enter passphrase: ") if lines else f"status {done.returncode}"
