"""A small Hub on the loopback interface: the calls that publishing and pulling make, on repositories in memory.

Start one with `with running_hub() as hub`, and give programs `HF_ENDPOINT=hub.url`. Faults are put in with
`hub.fail(...)`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKENS = {"hf_owner": "maker", "hf_reader": "maker", "hf_stranger": "stranger"}  # token -> user
LICENSES = {"mit", "apache-2.0", "other"}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@dataclass
class Repo:
    """One repository: every commit whole, the newest last."""

    private: bool = False
    gated: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    sdk: str | None = None

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit; returns its name."""
        seed = json.dumps([len(self.commits), sorted((n, blob_id(c)) for n, c in files.items())])
        name = blob_id(seed.encode())
        self.commits.append((name, files))
        return name

    @property
    def files(self) -> dict[str, bytes]:
        """The newest files."""
        return self.commits[-1][1]

    def resolve(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit that a branch, tag or commit name means."""
        if revision == "main":
            return self.commits[-1]
        wanted = self.tags.get(revision, revision)
        return next((one for one in self.commits if one[0] == wanted), None)


@dataclass
class Fault:
    """What goes wrong with requests whose `METHOD path` matches, `times` times."""

    pattern: str
    status: int = 0
    cut_after: int | None = None  # bytes of the body, then the connection is closed
    silent: float = 0.0  # seconds before anything is answered
    drip: float = 0.0  # seconds between pieces of the body
    times: int = 10**9


class Hub:
    """The server's state, for tests to set up and to look at."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}  # "models/USER/NAME" or "spaces/USER/NAME"
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.large = ""  # pattern of the files that are not sent with the commit, but before it
        self.url = ""

    def fail(self, pattern: str, **what: Any) -> None:
        """From now on requests matching `pattern`, such as `POST .*/commit/`, go wrong."""
        self.faults.append(Fault(pattern, **what))

    def repo(self, name: str, kind: str = "models") -> Repo:
        """A repository by name."""
        return self.repos[f"{kind}/{name}"]


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A Hub on a free loopback port."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def blob_id(content: bytes) -> str:
    """Name of a file's content, as git gives it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def check_metadata(text: str, kind: str) -> list[str]:
    """What the Hub would refuse in a README's metadata, as documented for model cards and Spaces."""
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if not match:
        return ["there is no metadata"] if kind == "space" else []
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return [f"no YAML: {error}"]
    problems = []
    if data.get("license") not in LICENSES:
        problems.append(f'"license" must be one of {sorted(LICENSES)}')
    if not all(isinstance(tag, str) for tag in data.get("tags", [])):
        problems.append('"tags" must be an array of strings')
    for index in data.get("model-index", []):
        if not index.get("name") or not isinstance(index.get("results"), list):
            problems.append('"model-index" needs a name and results')
            continue
        for result in index["results"]:
            if not result.get("task", {}).get("type"):
                problems.append('"model-index" results need a task.type')
            if not {"type", "name"} <= set(result.get("dataset", {})):
                problems.append('"model-index" results need dataset.type and dataset.name')
            if not result.get("metrics") or not all({"type", "value"} <= set(m) for m in result["metrics"]):
                problems.append('"model-index" results need metrics with type and value')
    if kind == "space":
        if data.get("sdk") not in ("gradio", "docker", "static"):
            problems.append('"sdk" must be one of gradio, docker, static')
        for name in ("colorFrom", "colorTo"):
            if data.get(name) not in COLOURS:
                problems.append(f'"{name}" must be one of {sorted(COLOURS)}')
        if len(data.get("short_description", "")) > 60:
            problems.append('"short_description" length must be less than or equal to 60 characters long')
        if len(data.get("title", "")) > 150 or not re.fullmatch(r"\S{1,8}", data.get("emoji", "")):
            problems.append('"title" or "emoji" is invalid')
    return problems


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.fault = None
        path = unquote(urlsplit(self.path).path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        if path == "/api/agent-harnesses":  # the client asks by itself, once in a program and whatever is wanted
            return self._error(404, "not known here")
        self.hub.requests.append(f"{self.command} {path}")
        for fault in self.hub.faults:
            if fault.times > 0 and re.search(fault.pattern, f"{self.command} {path}"):
                fault.times -= 1
                self.fault = fault
                break
        if self.fault and self.fault.silent:
            time.sleep(self.fault.silent)
        if self.fault and self.fault.status:
            return self._error(self.fault.status, "as the test wants it")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.user = TOKENS.get(token)
        self.role = "read" if token == "hf_reader" else "write"  # noqa: S105
        if token and self.user is None:
            return self._error(401, "Invalid credentials in Authorization header")
        for pattern, method in _ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {path}")
            if match:
                return method(self, body, **match.groupdict())
        return self._error(404, f"no route {self.command} {path}")

    # --- answers -----------------------------------------------------------------------------------------------------

    def _send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            if self.fault and self.fault.cut_after is not None:
                self.wfile.write(body[: self.fault.cut_after])
                self.wfile.flush()
                self.connection.shutdown(2)
                self.close_connection = True
            elif self.fault and self.fault.drip:
                for start in range(0, len(body), 2**17):
                    self.wfile.write(body[start : start + 2**17])
                    self.wfile.flush()
                    time.sleep(self.fault.drip)
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), status, Content_Type="application/json")

    def _error(self, status: int, message: str, code: str = "") -> None:
        headers = {"X_Error_Message": message, "Content_Type": "application/json"}
        if code:
            headers["X_Error_Code"] = code
        self._send(json.dumps({"error": message}).encode(), status, **headers)

    def _repo(self, kind: str, name: str, write: bool = False) -> Repo | None:
        repo = self.hub.repos.get(f"{kind}/{name}")
        owner = name.split("/")[0]
        if repo is None or (repo.private and self.user != owner):
            self._error(401 if self.user is None else 404, "Repository not found", "RepoNotFound")
            return None
        if write and self.user != owner:
            self._error(403, f"You don't have the rights to write to {name}")
            return None
        return repo

    def _commit(self, repo: Repo, revision: str) -> tuple[str, dict[str, bytes]] | None:
        found = repo.resolve(revision)
        if found is None:
            self._error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    # --- calls -------------------------------------------------------------------------------------------------------

    def whoami(self, body: bytes) -> None:
        if self.user is None:
            return self._error(401, "Invalid username or password.")
        return self._json({"name": self.user, "type": "user", "orgs": [], "auth": {"accessToken": {"role": self.role}}})

    def create(self, body: bytes) -> None:
        values = json.loads(body)
        owner = values.get("organization") or self.user
        if self.user is None:
            return self._error(401, "Invalid username or password.")
        if owner != self.user:
            return self._error(403, f"You don't have the rights to create a repo under {owner}")
        kind = f"{values.get('type', 'model')}s"
        key = f"{kind}/{owner}/{values['name']}"
        url = f"{self.hub.url}/{'spaces/' if kind == 'spaces' else ''}{owner}/{values['name']}"
        if key in self.hub.repos:
            return self._json({"error": "You already created this repo", "url": url}, 409)
        repo = Repo(values.get("visibility") == "private" or bool(values.get("private")), sdk=values.get("sdk"))
        repo.commit({".gitattributes": b"*.bin filter=lfs\n"})
        self.hub.repos[key] = repo
        return self._json({"url": url, "name": f"{owner}/{values['name']}"})

    def validate_yaml(self, body: bytes) -> None:
        values = json.loads(body)
        problems = check_metadata(values["content"], values["repoType"])
        answer = {"errors": [{"message": one} for one in problems], "warnings": []}
        self._json(answer, 400 if problems else 200)

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> None:
        repo = self._repo(kind, name, write=True)
        if repo:
            files = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if self.hub.large and re.search(self.hub.large, one["path"]) else "regular",
                    "shouldIgnore": False,
                    "oid": blob_id(repo.files[one["path"]]) if one["path"] in repo.files else None,
                }
                for one in json.loads(body)["files"]
            ]
            self._json({"files": files})

    def batch(self, body: bytes) -> None:
        upload = {"upload": {"href": f"{self.hub.url}/storage"}}  # which has room for nothing
        values = json.loads(body)
        files = [{"oid": one["oid"], "size": one["size"], "actions": upload} for one in values["objects"]]
        self._json({"transfer": "xet" if "xet" in values["transfers"] else "basic", "objects": files})

    def commit(self, body: bytes, kind: str, name: str, revision: str) -> None:
        repo = self._repo(kind, name, write=True)
        if not repo:
            return
        files = dict(repo.files)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        commit = repo.commit(files)
        prefix = "spaces/" if kind == "spaces" else ""
        self._json(
            {"commitUrl": f"{self.hub.url}/{prefix}{name}/commit/{commit}", "commitOid": commit, "success": True}
        )

    def tag(self, body: bytes, kind: str, name: str, revision: str) -> None:
        repo = self._repo(kind, name, write=True)
        found = repo and self._commit(repo, revision)
        if repo and found:
            wanted = json.loads(body)["tag"]
            if wanted in repo.tags:
                self._error(409, "Tag reference exists already.")
                return
            repo.tags[wanted] = found[0]
            self._json({})

    def refs(self, body: bytes, kind: str, name: str) -> None:
        repo = self._repo(kind, name)
        if repo:
            tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in repo.tags.items()]
            head = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.commits[-1][0]}
            self._json({"branches": [head], "tags": tags, "converts": []})

    def info(self, body: bytes, kind: str, name: str, revision: str | None = None) -> None:
        repo = self._repo(kind, name)
        found = repo and self._commit(repo, revision or "main")
        if repo and found:
            files = [{"rfilename": path} for path in sorted(found[1])]
            value = {"id": name, "sha": found[0], "siblings": files, "tags": []}
            value |= {"private": repo.private, "gated": repo.gated}
            if kind == "spaces":
                value["sdk"] = repo.sdk
            self._json(value)

    def tree(self, body: bytes, kind: str, name: str, revision: str) -> None:
        repo = self._repo(kind, name)
        found = repo and self._commit(repo, revision)
        if found:
            self._json(
                [
                    {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
                    for path, content in sorted(found[1].items())
                ]
            )

    def variables(self, body: bytes, name: str) -> None:
        repo = self._repo("spaces", name, write=True)
        if repo:
            if self.command != "GET":
                values = json.loads(body)
                if self.command == "POST":
                    repo.variables[values["key"]] = values["value"]
                else:
                    repo.variables.pop(values["key"], None)
            self._json(
                {key: {"value": value, "updatedAt": "2026-01-01T00:00:00Z"} for key, value in repo.variables.items()}
            )

    def resolve(self, body: bytes, name: str, revision: str, file: str, kind: str | None = None) -> None:
        repo = self._repo("spaces" if kind else "models", name)
        found = repo and self._commit(repo, revision)
        if not found:
            return
        commit, files = found
        if file not in files:
            self._error(404, "Entry not found", "EntryNotFound")
            return
        content = files[file]
        headers = {"ETag": f'"{blob_id(content)}"', "X_Repo_Commit": commit, "Accept_Ranges": "bytes"}
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and self.command == "GET":
            start = int(wanted[1])
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(content[start:], 206, **headers)
        else:
            self._send(content, **headers)


_NAME = r"(?P<name>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>models|spaces)/{_NAME}"
_ROUTES = [
    (r"GET /api/whoami-v2", _Handler.whoami),
    (r"POST /api/repos/create", _Handler.create),
    (r"POST /api/validate-yaml", _Handler.validate_yaml),
    (rf"POST {_API}/preupload/(?P<revision>.+)", _Handler.preupload),
    (r"POST /.+\.git/info/lfs/objects/batch", _Handler.batch),
    (rf"POST {_API}/commit/(?P<revision>.+)", _Handler.commit),
    (rf"POST {_API}/tag/(?P<revision>.+)", _Handler.tag),
    (rf"GET {_API}/refs", _Handler.refs),
    (rf"GET {_API}/revision/(?P<revision>.+)", _Handler.info),
    (rf"GET {_API}/tree/(?P<revision>[^/]+)/?", _Handler.tree),
    (rf"(?:GET|POST|DELETE) /api/spaces/{_NAME}/variables", _Handler.variables),
    (rf"GET {_API}", _Handler.info),
    (rf"(?:GET|HEAD) /(?:(?P<kind>spaces)/)?{_NAME}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _Handler.resolve),
]
