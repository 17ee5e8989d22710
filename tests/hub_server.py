"""A Hub-shaped server on loopback, for the real client: repositories in memory, and the faults that a network has."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by name, each a dict of file contents.

    Attributes:
        fault: Of requests for the weights: "drop" (the connection closes half-way, and later sends nothing more), "cut"
            (it closes after 64 KiB, every time), "stall" (it stops half-way), "mute" (no answer), "slow" (64 KiB at a
            time, with pauses of `pause`), "norange" (it closes half-way, and always sends from the
            start), "flip" (a byte is changed), or a status such as "503".
        everywhere: Whether the fault concerns every request.
        read_only: Whether uploads are refused.
        requests: Method, path and range of each request.
        sent: Bytes of weights that were sent.
    """

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    fault: str = ""
    everywhere: bool = False
    read_only: bool = False
    pause: float = 0.0
    sent: int = 0
    requests: list[str] = field(default_factory=list)
    address: str = ""
    commit: str = COMMIT
    closing: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), Content_Type="application/json")

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        self._file()

    def _file(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path} {self.headers.get('Range') or ''}".strip())
        if self.hub.everywhere and self._refuse():
            return
        repo, _, rest = unquote(urlsplit(self.path).path).strip("/").partition("/resolve/")
        if not rest:
            self._json(
                {"id": repo.removeprefix("api/models/"), "sha": self.hub.commit, "siblings": [], "xetEnabled": False}
            )
            return
        revision, _, name = rest.partition("/")
        if repo not in self.hub.repos:
            self._answer(404, X_Error_Code="RepoNotFound")
        elif revision not in ("main", self.hub.commit):
            self._answer(404, X_Error_Code="RevisionNotFound")
        elif name not in self.hub.repos[repo]:
            self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=self.hub.commit)
        else:
            self._send(name, self.hub.repos[repo][name])

    def _refuse(self) -> bool:
        """Whether a fault of the whole answer was played."""
        fault = self.hub.fault
        if fault == "mute":
            self.hub.closing.wait(30)
            self.close_connection = True
        elif fault.isdigit():
            self._answer(int(fault), b"{}", **({"Retry_After": "30"} if fault == "429" else {}))
        return fault == "mute" or fault.isdigit()

    def _send(self, name: str, content: bytes) -> None:
        fault = self.hub.fault if name.endswith(".safetensors") else ""
        if fault and self._refuse():
            return
        span = None if fault == "norange" else self.headers.get("Range")
        start = int((span or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault == "flip":
            content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        end = {
            "drop": len(content) // 2,
            "stall": len(content) // 2,
            "norange": len(content) // 2,
            "cut": start + 65536,
        }.get(fault, len(content))
        for piece in range(start, min(end, len(content)), 65536):
            self.wfile.write(content[piece : min(piece + 65536, end)])
            self.wfile.flush()
            self.hub.sent += len(content[piece : min(piece + 65536, end)]) if name.endswith(".safetensors") else 0
            if fault == "slow":
                time.sleep(self.hub.pause)
        if fault == "stall":
            self.hub.closing.wait(30)
        self.close_connection = self.close_connection or end < len(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunked()
        self.hub.requests.append(f"POST {self.path}")
        path = unquote(urlsplit(self.path).path)
        if path == "/api/repos/create":
            request = json.loads(body)
            repo = f"{request.get('organization') or 'me'}/{request['name']}"
            self.hub.repos.setdefault(repo, {})
            self._json({"url": f"{self.hub.address}/{repo}", "id": repo, "name": repo})
        elif self.hub.read_only:
            self._answer(403, b'{"error": "no write access"}')
        elif "/paths-info/" in path:
            repo = path.removeprefix("/api/models/").partition("/paths-info/")[0]
            content = self.hub.repos[repo]["model.safetensors"]
            digest = hashlib.sha256(content).hexdigest()
            lfs = {"oid": digest, "size": len(content), "pointerSize": 130}
            found = {"type": "file", "path": "model.safetensors", "size": len(content), "oid": "0" * 40, "lfs": lfs}
            self._json([found])
        elif "/preupload/" in path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for f in json.loads(body)["files"]
            ]
            self._json({"files": files})
        elif "/commit/" in path:
            repo = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.hub.repos[repo][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self._json(
                {"commitUrl": f"{self.hub.address}/{repo}/commit/{self.hub.commit}", "commitOid": self.hub.commit}
            )
        else:
            self._json({})

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().strip(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


@contextmanager
def serve() -> Iterator[Hub]:
    """A running Hub on a free port of the loopback interface."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()
