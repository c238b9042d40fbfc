"""Small servers that speak as Zenodo and Hugging Face's hub document it, as far as a bundle needs them, and can be cut off.

They keep what they got in memory, and count every byte of a file's content that arrived whole.
"""

import base64
import hashlib
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

CHANCE = 0.4
"""Of a transfer to be cut off, where chance says which."""


class Server(ThreadingHTTPServer):
    """What both have: a log of requests, and a fuse."""

    daemon_threads = True
    farthest = 0.99
    """Shares of a content at which chance cuts; beyond 1 it is the answer that gets lost."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.said: list[str] = []
        """Method, path and headers of each request."""
        self.sent: Counter[str] = Counter()
        """By name or digest, how often content was received whole."""
        self.fuse: int | None = None
        """After so many uploads or downloads of content, the next is cut off in its midst. None: none is."""
        self.dice: random.Random | None = None
        """Which transfers are cut off, and where, if chance says so."""
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def cut_at(self) -> float | None:
        """After which share of its content a transfer is cut off. 1: all of it arrives, and its answer is lost. None: it isn't."""
        with self.lock:
            if self.dice is not None:
                return min(self.dice.uniform(0, self.farthest), 1.0) if self.dice.random() < CHANCE else None
            if self.fuse is None:
                return None
            self.fuse -= 1
            return 0.5 if self.fuse < 0 else None


class Handler(BaseHTTPRequestHandler):
    """Routes by pattern; answers JSON."""

    protocol_version = "HTTP/1.1"
    server: Any
    routes: tuple[tuple[str, str, str], ...] = ()
    mute = False
    """Whether the answer to this request gets lost."""

    def log_message(self, format: str, *args: Any) -> None:
        self.server.said.append(f"{self.command} {self.path} {dict(self.headers)}")

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        for method, pattern, name in self.routes:
            if method == self.command and (found := re.fullmatch(pattern, path)):
                getattr(self, name)(*found.groups())
                return
        self.answer(404, {"message": f"no {self.command} {path} here"})

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _route

    def content(self) -> bytes | None:
        """What was sent; None where it was cut off."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        size = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(size)
        return content if len(content) == size else None

    def body(self) -> Any:
        return json.loads(self.content() or b"null")

    def receive(self, name: str) -> bytes | None:
        """The content of a file; None, and the line is cut, where it is to be."""
        share = self.server.cut_at()
        if share is not None and share < 1:
            self.rfile.read(int(share * int(self.headers.get("Content-Length", 0))))
            self.cut()
            return None
        self.mute = share is not None
        content = self.content()
        if content is not None:
            with self.server.lock:
                self.server.sent[name] += 1
        return content

    def give(self, content: bytes, name: str, **headers: str) -> None:
        """A file's content, from where it is asked for."""
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        rest = content[start:]
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for key, value in {"Content-Length": str(len(rest)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        share = self.server.cut_at() if rest else None
        if share is not None and share < 1:
            self.wfile.write(rest[: int(share * len(rest))])
            self.wfile.flush()
            self.cut()
            return
        self.wfile.write(rest)
        with self.server.lock:
            self.server.sent[name] += 1

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def answer(self, status: int, content: Any = None, **headers: str) -> None:
        if self.mute:
            self.cut()
            return
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)


class ZenodoHandler(Handler):
    routes = (
        ("POST", r"/api/deposit/depositions", "make"),
        ("GET", r"/api/deposit/depositions/(\d+)", "look"),
        ("PUT", r"/api/deposit/depositions/(\d+)", "describe"),
        ("GET", r"/api/deposit/depositions/(\d+)/files", "files"),
        ("DELETE", r"/api/deposit/depositions/(\d+)/files/(.+)", "remove"),
        ("POST", r"/api/deposit/depositions/(\d+)/actions/publish", "publish"),
        ("PUT", r"/api/files/bucket-(\d+)/(.+)", "put"),
        ("GET", r"/api/records/(\d+)", "record"),
        ("GET", r"/api/records/(\d+)/files/([^/]+)/content", "fetch"),
    )
    server: "Zenodo"

    def allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.server.token}":
            return True
        self.content()
        self.answer(403, {"message": "Permission denied.", "status": 403})
        return False

    def shown(self, number: int) -> dict[str, Any]:
        return {
            "id": number,
            "metadata": {"prereserve_doi": {"doi": f"10.5072/zenodo.{number}", "recid": number}},
            "links": {"bucket": f"{self.server.url}/api/files/bucket-{number}"},
            "submitted": number in self.server.published,
        }

    def make(self) -> None:
        if self.allowed():
            self.content()
            number = 100 + len(self.server.deposits)
            self.server.deposits[number] = {}
            self.answer(201, self.shown(number))

    def look(self, number: str) -> None:
        if not self.allowed():
            return
        if int(number) in self.server.deposits:
            self.answer(200, self.shown(int(number)))
        else:
            self.answer(404, {"message": "PID does not exist."})

    def describe(self, number: str) -> None:
        if self.allowed():
            self.server.metadata[int(number)] = self.body()["metadata"]
            self.answer(200, self.shown(int(number)))

    def files(self, number: str) -> None:
        if self.allowed():
            lying = self.server.deposits[int(number)]
            self.answer(200, [{"id": name, "filename": name, "checksum": md5(content)} for name, content in lying.items()])

    def remove(self, number: str, name: str) -> None:
        if self.allowed():
            del self.server.deposits[int(number)][name]
            self.answer(204)

    def put(self, number: str, name: str) -> None:
        if self.allowed() and (content := self.receive(name)) is not None:
            self.server.deposits[int(number)][name] = content
            self.answer(201, {"key": name, "checksum": f"md5:{md5(content)}", "size": len(content)})

    def publish(self, number: str) -> None:
        if self.allowed():
            self.content()
            self.server.published.add(int(number))
            self.answer(202, self.shown(int(number)))

    def record(self, number: str) -> None:
        if int(number) not in self.server.published:
            self.answer(404, {"message": "PID does not exist."})
            return
        here = f"{self.server.url}/api/records/{number}/files"
        files = self.server.deposits[int(number)].items()
        about = [
            {"key": name, "size": len(content), "checksum": f"md5:{md5(content)}", "links": {"self": f"{here}/{name}/content"}}
            for name, content in files
        ]
        self.answer(200, {"id": int(number), "files": about})

    def fetch(self, number: str, name: str) -> None:
        self.give(self.server.deposits[int(number)][name], name)


class Zenodo(Server):
    """Deposits, each with a bucket of files."""

    token = "a-secret-of-zenodo"
    farthest = 1.3

    def __init__(self) -> None:
        super().__init__(ZenodoHandler)
        self.deposits: dict[int, dict[str, bytes]] = {}
        self.metadata: dict[int, dict[str, Any]] = {}
        self.published: set[int] = set()


class HubHandler(Handler):
    routes = (
        ("POST", r"/api/repos/create", "make"),
        ("POST", r"/api/validate-yaml", "check_card"),
        ("POST", r"/api/models/([^/]+/[^/]+)/preupload/main", "preupload"),
        ("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/lfs/([0-9a-f]{64})", "put"),
        ("POST", r"/api/models/([^/]+/[^/]+)/commit/main", "commit"),
        ("GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", "tree"),
        ("GET", r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", "info"),
        ("GET", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "fetch"),
        ("HEAD", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "fetch"),
    )
    server: "Hub"

    def allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.server.token}":
            return True
        self.content()
        self.answer(401, {"error": "Invalid username or password."})
        return False

    def make(self) -> None:
        if self.allowed():
            said = self.body()
            name = f"{said['organization']}/{said['name']}" if said.get("organization") else said["name"]
            if name in self.server.repos:
                self.answer(409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"})
                return
            self.server.repos[name] = [{".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}]
            self.answer(200, {"url": f"{self.server.url}/{name}", "name": name})

    def check_card(self) -> None:
        self.server.cards.append(self.body()["content"])
        self.answer(200, {"errors": [], "warnings": []})

    def preupload(self, name: str) -> None:
        if not self.allowed():
            return
        lying = self.server.repos[name][-1]
        told = []
        for file in self.body()["files"]:
            mode = "lfs" if file["path"].endswith((".safetensors", ".tsv")) else "regular"
            found = lying.get(file["path"])
            known = {} if found is None else {"oid": sha256(found) if mode == "lfs" else blob(found)}
            told.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **known})
        self.answer(200, {"files": told})

    def batch(self, name: str) -> None:
        if not self.allowed():
            return
        objects = []
        for wanted in self.body()["objects"]:
            link = {"upload": {"href": f"{self.server.url}/lfs/{wanted['oid']}", "header": {}}}
            objects.append({**wanted, **({} if wanted["oid"] in self.server.large else {"actions": link})})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        content = self.receive(oid)
        if content is not None:
            assert sha256(content) == oid
            self.server.large[oid] = content
            self.answer(200)

    def commit(self, name: str) -> None:
        if not self.allowed():
            return
        lines = [json.loads(line) for line in (self.content() or b"").splitlines()]
        lying = dict(self.server.repos[name][-1])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                assert value["encoding"] == "base64"
                lying[value["path"]] = base64.b64decode(value["content"])
                self.server.sent[value["path"]] += 1
            elif line["key"] == "lfsFile":
                lying[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del lying[value["path"]]
        self.server.repos[name].append(lying)
        oid = self.server.oid(name)
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": f"{self.server.url}/{name}/commit/{oid}", "hookOutput": ""})

    def info(self, name: str, revision: str | None) -> None:
        if name not in self.server.repos:
            self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return
        self.answer(200, {"id": name, "modelId": name, "sha": self.server.oid(name), "siblings": [], "private": False, "tags": []})

    def tree(self, name: str, revision: str) -> None:
        files = []
        for path, content in sorted(self.server.repos[name][-1].items()):
            about = {"type": "file", "path": path, "size": len(content), "oid": blob(content)}
            large = {"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 130}} if self.is_large(path) else {}
            files.append({**about, **large})
        self.answer(200, files)

    def fetch(self, name: str, revision: str, path: str) -> None:
        content = self.server.repos[name][-1][path]
        etag = sha256(content) if self.is_large(path) else blob(content)
        self.give(content, path, ETag=f'"{etag}"', X_Repo_Commit=self.server.oid(name), X_Linked_Size=str(len(content)))

    @staticmethod
    def is_large(path: str) -> bool:
        return path.endswith((".safetensors", ".tsv"))


class Hub(Server):
    """Model repositories, each a list of commits, and the large files of all."""

    token = "hf_a_secret"

    def __init__(self) -> None:
        super().__init__(HubHandler)
        self.repos: dict[str, list[dict[str, bytes]]] = {}
        self.large: dict[str, bytes] = {}
        self.cards: list[str] = []

    def oid(self, name: str) -> str:
        """Of the last commit."""
        text = json.dumps([len(self.repos[name]), sorted((path, sha256(each)) for path, each in self.repos[name][-1].items())])
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@contextmanager
def serving(make: Callable[[], Any]) -> Iterator[Any]:
    """A server at work, on a port of its own."""
    server = make()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob(content: bytes) -> str:
    """The name that git has for a file's content."""
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
