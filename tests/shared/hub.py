"""A hub on this machine: what `huggingface_hub` asks of one to make, fill and read a repository."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants

_SHA = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories in memory.

    Attributes:
        files: of each repository, by path.
        asked: method and path of every request.
        gated: repositories whose terms nobody here has accepted.
        cards: what a repository's card tells, by repository.
        revisions: that there are, as addresses have them; None for any.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.gated: set[str] = set()
        self.cards: dict[str, dict[str, Any]] = {}
        self.revisions: set[str] | None = None


class _Answering(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._read()

    def do_HEAD(self) -> None:
        self._read()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.asked.append(f"POST {self.path}")
        path = self.path.split("?")[0]
        if path == "/api/validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif path == "/api/repos/create":
            given = json.loads(body)
            repo = f"{given.get('organization') or 'me'}/{given['name']}"
            self.hub.files.setdefault(repo, {})
            self._json({"url": f"http://{self.headers['Host']}/{repo}"})
        elif "/preupload/" in path:
            sent = json.loads(body)["files"]
            self._json({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in sent]})
        else:
            repo = path.removeprefix("/api/models/").split("/commit/")[0]
            for line in body.decode().splitlines():
                told = json.loads(line)
                if told["key"] == "file":
                    self.hub.files[repo][told["value"]["path"]] = base64.b64decode(told["value"]["content"])
            there = f"http://{self.headers['Host']}/{repo}/commit/{_SHA}"
            self._json({"commitUrl": there, "commitOid": _SHA, "hookOutput": "", "success": True})

    def _read(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        path = self.path.split("?")[0].removeprefix("/api/models/").strip("/")
        repo = "/".join(path.split("/")[:2])
        if repo in self.hub.gated:
            self._json({"error": "gated"}, 403, {"X-Error-Code": "GatedRepo"})
        elif repo not in self.hub.files and repo not in self.hub.cards:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif "/revision/" in path and self.hub.revisions is not None and not path.endswith(tuple(self.hub.revisions)):
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif "/resolve/" in path:
            self._file(self.hub.files[repo].get(path.split("/resolve/")[1].split("/", 1)[1]))
        elif "/tree/" in path:
            self._json(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in self.hub.files[repo].items()
                ]
            )
        else:
            names = [{"rfilename": name} for name in self.hub.files.get(repo, {})]
            card = self.hub.cards.get(repo, {})
            self._json({"id": repo, "modelId": repo, "sha": _SHA, "siblings": names, "cardData": card, "tags": []})

    def _file(self, data: bytes | None) -> None:
        if data is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", _SHA)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _json(self, value: Any, code: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        for name, told in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, told)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *told: object) -> None:
        pass


@contextmanager
def local_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that `huggingface_hub` asks for the time of a block, with a cache of its own in a folder."""
    hub = Hub()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (_Answering,), {"hub": hub})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        try:
            yield hub
        finally:
            server.shutdown()
