"""A stand-in of the Hugging Face hub: its HTTP interface for one user's repositories, in a thread of this process."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

TOKEN = "hf_stand_in"
COMMIT = "c0ffee" + 34 * "0"


class Hub:
    """What the stand-in holds, and what it was asked.

    Attributes:
        files: contents, by repository and name.
        sizes: sizes that it claims in place of the true ones, by name.
        asked: method and path of each request.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.sizes: dict[str, int] = {}
        self.asked: list[str] = []
        self.large: dict[str, bytes] = {}
        self.address = ""


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve a hub on a free port."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def json(self, content: Any) -> None:
            self.answer(200, json.dumps(content).encode(), Content_Type="application/json")

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = b""
            while length := int(self.rfile.readline(), 16):
                found += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            repository, _, rest = self.path[1:].partition("/resolve/")
            revision, _, name = rest.partition("/")
            if repository not in hub.files:
                return self.answer(404, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            if revision not in ("main", COMMIT):
                return self.answer(404, X_Error_Code="RevisionNotFound")
            content: Optional[bytes] = hub.files[repository].get(name)
            if content is None:
                return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            headers = dict(ETag=f'"{hashlib.sha256(content).hexdigest()}"', X_Repo_Commit=COMMIT)
            if self.command == "HEAD" and name in hub.sizes:
                headers["X_Linked_Size"] = str(hub.sizes[name])
            self.answer(200, content, **headers)

        def do_PUT(self) -> None:
            hub.large[self.path.rpartition("/")[2]] = self.body()
            self.answer(200)

        def do_POST(self) -> None:
            hub.asked.append(f"POST {self.path}")
            body = self.body()
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(401, X_Error_Message="Invalid credentials")
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                name = (
                    "ada/" + asked["name"]
                    if not asked.get("organization")
                    else f"{asked['organization']}/{asked['name']}"
                )
                hub.files.setdefault(name, {})
                return self.json(dict(url=f"{hub.address}/{name}", name=name, id=name))
            if "/preupload/" in self.path:
                files = [
                    dict(path=each["path"], shouldIgnore=False, uploadMode=mode_of(each["path"]))
                    for each in json.loads(body)["files"]
                ]
                return self.json(dict(files=files, commitOid=COMMIT))
            if self.path.endswith("/info/lfs/objects/batch"):
                objects = [
                    dict(each, actions=dict(upload=dict(href=f"{hub.address}/large/{each['oid']}")))
                    for each in json.loads(body)["objects"]
                ]
                return self.json(dict(transfer="basic", objects=objects))
            if "/commit/" in self.path:
                repository = "/".join(self.path.split("/")[3:5])
                for line in body.decode().splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        hub.files[repository][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                    elif entry["key"] == "lfsFile":
                        hub.files[repository][entry["value"]["path"]] = hub.large[entry["value"]["oid"]]
                url = f"{hub.address}/{repository}/commit/{COMMIT}"
                return self.json(dict(success=True, commitOid=COMMIT, commitUrl=url))
            if self.path == "/api/validate-yaml":
                return self.json(dict(errors=[], warnings=[]))
            self.answer(404)

    def mode_of(name: str) -> str:
        return "lfs" if name.endswith((".safetensors", ".png")) else "regular"

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
