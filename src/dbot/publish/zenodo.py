"""Bundles on Zenodo (REST interface of its deposits), or a server that speaks as it does.

The DOI is reserved first and written into the bundle, whose zips are then uploaded; the same results give the same bytes, so an upload
that was cut off goes on with the zips that aren't there yet. The token (ZENODO_TOKEN) goes into a header of each request only.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbot.base.digest import data_digest
from dbot.base.errors import UserError
from dbot.base.files import write_whole
from dbot.lineage.session import STATE
from dbot.publish.bundle import PART_BYTES, Bundle, write_zips
from dbot.publish.contents import Pictures, Published, write
from dbot.versioning.pointer import md5

ENDPOINT = "https://zenodo.org"
TOKEN = "ZENODO_TOKEN"
ROOM = STATE / "publish"
SECONDS = 60.0
"""How long the server may be silent."""
CHUNK = 2**20
GONE = (404, 410)
BESIDE = ("README.md", "LICENCES.md", "ro-crate-metadata.json")
"""What is uploaded beside the zips too, for those who only look."""


def upload(published: Published, named: str, endpoint: str | None, confirm: bool, pictures: Pictures) -> None:
    """Reserve a DOI, write the bundle with it, upload what isn't there yet, and publish if asked to.

    Args:
        published: what goes into it.
        named: number of a deposit to go on with. Empty: that of an earlier attempt for the same results, or a new one.
        endpoint: of the server. None: the public one.
        confirm: publish. What is published stays for ever.
        pictures: as `contents.write` says.

    Raises:
        UserError: there is no token, the server refuses, or was cut off; the next upload goes on.
    """
    if named and not named.isdecimal():
        raise UserError(f"--to is zenodo://{named}: name no deposit, or an earlier one by its number")
    server = _Server(endpoint or ENDPOINT, needs_token=True)
    name = attempt(published.plan.scale, [job.name for job in published.targets], server.endpoint)
    noted, folder = ROOM / f"{name}.json", ROOM / name
    deposit = _deposit(server, named, noted)
    doi = str(deposit["metadata"]["prereserve_doi"]["doi"])
    bundle = write(published, folder, doi=doi, pictures=pictures)
    files = [*write_zips(folder, ROOM / f"dbot-{deposit['id']}.zip", PART_BYTES), *(folder / name for name in BESIDE)]
    sent = _send(server, deposit, files)
    server.json("PUT", _own(server, deposit), {"metadata": _metadata(bundle, published, doi)})
    print(f"zenodo: deposit {deposit['id']}, DOI {doi} reserved; {sent} of {len(files)} files sent, the others were there")
    if confirm:
        server.json("POST", f"{_own(server, deposit)}/actions/publish")
        noted.unlink(missing_ok=True)
        print(f"published: https://doi.org/{doi}; `dbot restore doi:{doi}` puts it in place in another checkout")
    else:
        print(f"It is a draft, at {server.endpoint}/deposit/{deposit['id']}: look at it, then run this again with --confirm")
    for path in files[: -len(BESIDE)]:
        path.unlink()
    shutil.rmtree(folder)


def attempt(scale: str, targets: Sequence[str], endpoint: str) -> str:
    """What an upload is called here while it isn't published: the next of the same results to the same server goes on with it."""
    return f"zenodo-{scale}-{data_digest([endpoint, *targets])[:16]}"


def download(named: str, endpoint: str | None, room: Path) -> Path:
    """Fetch the zips of a record; a file that was cut off goes on where it was. Gives one of them.

    Args:
        named: ``doi:10.5281/zenodo.NUMBER`` or ``zenodo://NUMBER``.
        endpoint: of the server. None: the public one.
        room: gets a folder with them.

    Raises:
        UserError: there is no such record, it holds no bundle, or the server was cut off.
    """
    found = re.fullmatch(r"(?:doi:10\.\d+/zenodo\.|zenodo://)(\d+)", named)
    if found is None:
        raise UserError(f"{named}: is no DOI of Zenodo's (10.5281/zenodo.NUMBER); fetch the bundle by hand and restore its folder or zip")
    server = _Server(endpoint or ENDPOINT, needs_token=False)
    record = server.json("GET", f"/api/records/{found[1]}")
    zips = [file for file in record.get("files", []) if str(file["key"]).endswith(".zip")]
    if not zips:
        raise UserError(f"{named}: its record holds no .zip, so no bundle of `dbot publish`; see to the number")
    folder = room / f"zenodo-{found[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    for file in zips:
        server.fetch(file["links"]["self"], folder / Path(file["key"]).name, str(file["checksum"]), int(file["size"]))
    return folder / Path(zips[0]["key"]).name


def _deposit(server: "_Server", named: str, noted: Path) -> dict[str, Any]:
    """The deposit to go on with, or a new one, whose number is noted at once."""
    if not named and noted.is_file():
        named = str(json.loads(noted.read_text())["id"])
    if named:
        try:
            found: dict[str, Any] = server.json("GET", f"/api/deposit/depositions/{named}")
        except _Refused as error:
            if error.status in GONE:
                raise UserError(f"zenodo: deposit {named} is not there (any more); delete {noted} to make another") from None
            raise
        if found.get("submitted"):
            raise UserError(f"zenodo: deposit {named} is published already, and can't be changed; delete {noted} to make another")
    else:
        found = server.json("POST", "/api/deposit/depositions", {})
    write_whole(noted, json.dumps({"id": found["id"]}).encode())
    return found


def _own(server: "_Server", deposit: dict[str, Any]) -> str:
    return f"/api/deposit/depositions/{deposit['id']}"


def _send(server: "_Server", deposit: dict[str, Any], files: Sequence[Path]) -> int:
    """Upload the files that the deposit lacks, and take out those that it should not have; returns how many were sent."""
    there = {str(file["filename"]): file for file in server.json("GET", f"{_own(server, deposit)}/files")}
    for name, file in there.items():
        if name not in {path.name for path in files}:
            server.json("DELETE", f"{_own(server, deposit)}/files/{file['id']}")
    sent = 0
    for path in files:
        digest = md5(path)
        if path.name in there and str(there[path.name]["checksum"]).removeprefix("md5:") == digest:
            continue
        said = server.put(f"{deposit['links']['bucket']}/{path.name}", path)
        if str(said["checksum"]).removeprefix("md5:") != digest:
            raise UserError(f"zenodo: {path.name} has come to it otherwise than it was sent (MD5 differs); run this again")
        sent += 1
    return sent


def _metadata(bundle: Bundle, published: Published, doi: str) -> dict[str, Any]:
    who = published.story.people
    people = dict.fromkeys([*who.authors.values(), *who.committers.values()])
    names = ", ".join(f"<code>{name}</code>" for name in bundle.targets)
    return {
        "title": f"dbot results, scale {bundle.scale}: {', '.join(dict.fromkeys(name.split('/')[1] for name in bundle.targets))}",
        "upload_type": "dataset",
        "description": f"<p>Results with all that proves them: {names}. A Workflow Run RO-Crate; <code>dbot restore doi:{doi}</code> "
        "puts it in place in a checkout of the project. Terms: LICENCES.md.</p>",
        "creators": [{"name": name} for name in people] or [{"name": "The dbot maintainers"}],
        "publication_date": max(step.execution.ended for step in published.story.steps.values())[:10],
        "access_right": "open",
        "license": "apache-2.0",
        "keywords": ["RO-Crate", "masked autoencoding", "bootstrapped teachers"],
        "related_identifiers": [{"identifier": "arXiv:2209.03917", "relation": "isSupplementTo"}],
        "prereserve_doi": True,
    }


class _Refused(UserError):
    """The server answered, and refused."""

    def __init__(self, problem: str, status: int) -> None:
        super().__init__(problem)
        self.status = status


class _Server:
    """Requests to one server, with what goes wrong said in a line."""

    def __init__(self, endpoint: str, needs_token: bool) -> None:
        import requests

        self.endpoint = endpoint.rstrip("/")
        token = os.environ.get(TOKEN)
        if needs_token and not token:
            raise UserError(f"zenodo: the variable {TOKEN} is not set; make a token at {self.endpoint}/account/settings/applications")
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def json(self, method: str, path: str, content: Any = None) -> Any:
        """What a request answers, as JSON."""
        with _in_a_line():
            answer = self._session.request(method, self._url(path), json=content, timeout=SECONDS)
        _refused(answer)
        return answer.json() if answer.content else None

    def put(self, url: str, path: Path) -> Any:
        """Upload a file."""
        with _in_a_line(), path.open("rb") as stream:
            answer = self._session.put(self._url(url), data=stream, timeout=SECONDS)
        _refused(answer)
        return answer.json()

    def fetch(self, url: str, path: Path, checksum: str, size: int) -> None:
        """Download a file, from where an earlier attempt was cut off."""
        if path.is_file() and md5(path) == checksum.removeprefix("md5:"):
            return
        part = path.with_name(f"{path.name}.part")
        here = part.stat().st_size if part.is_file() else 0
        if here < size:
            headers = {"Range": f"bytes={here}-"} if here else {}
            with _in_a_line(), self._session.get(self._url(url), headers=headers, stream=True, timeout=SECONDS) as answer:
                _refused(answer)
                with part.open("ab" if answer.status_code == 206 else "wb") as stream:
                    for chunk in answer.iter_content(CHUNK):
                        stream.write(chunk)
        if md5(part) != checksum.removeprefix("md5:"):
            part.unlink()
            raise UserError(f"zenodo: {path.name} has come otherwise than it lies there (MD5 differs); run this again")
        part.replace(path)

    def _url(self, path: str) -> str:
        """Where a request goes: to this server alone, as the token does.

        Raises:
            UserError: an answer points to another server.
        """
        url = path if path.startswith("http") else self.endpoint + path
        if not url.startswith(f"{self.endpoint}/"):
            raise UserError(f"zenodo: {self.endpoint} points to {url.split('?')[0]}, on another server; name that one with --endpoint")
        return url


@contextmanager
def _in_a_line() -> Iterator[None]:
    import requests

    try:
        yield
    except requests.RequestException as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"zenodo: was cut off ({reason}); run this again, which goes on") from None


def _refused(answer: Any) -> None:
    """Raises: _Refused: the server did."""
    if answer.status_code >= 400:
        try:
            said = " ".join(str(answer.json().get("message", "")).split())[:160]
        except ValueError:
            said = ""
        hint = f"see to {TOKEN}" if answer.status_code in (401, 403) else "see to it, then run this again, which goes on"
        raise _Refused(f"zenodo: refused with status {answer.status_code}{f' ({said})' if said else ''}; {hint}", answer.status_code)
