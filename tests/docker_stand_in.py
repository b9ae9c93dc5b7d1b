"""A Docker engine that answers a ping and describes itself, and nothing else."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def docker_host(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: Mapping[str, str], **info: object
) -> Iterator[None]:
    """DOCKER_HOST is an engine, on a socket in the folder, that says this of its version and of itself."""

    class Engine(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"version": version, "info": info}
            what = self.path.rpartition("/")[2]
            body = json.dumps(known[what]).encode() if what in known else b"OK"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    path = folder / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield
        server.shutdown()
