"""Why a Docker engine can't be used, each with its way out."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewire.errors import HostError
from kubewire.kind.engine import answers, connect


class Old(http.server.BaseHTTPRequestHandler):
    """An engine of 2018."""

    def do_GET(self) -> None:
        body = b'{"Version": "18.09.1", "ApiVersion": "1.39"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def old_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def test_one_that_is_too_old_is_named(old_engine: None) -> None:
    with pytest.raises(HostError, match=r"18\.09\.1 is too old: kind needs 20\.10"):
        connect()


def test_no_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert not answers()
    with pytest.raises(HostError, match="none runs here") as caught:
        connect()
    assert "systemctl start docker" in caught.value.mend
    assert "--provider netns" in caught.value.mend


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(HostError, match="nothing answers"):
        connect()


def test_a_socket_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        if os.geteuid() == 0:
            pytest.skip("root may open every socket")
        with pytest.raises(HostError, match="may not be opened by this user") as caught:
            connect()
        assert "usermod -aG docker" in caught.value.mend
