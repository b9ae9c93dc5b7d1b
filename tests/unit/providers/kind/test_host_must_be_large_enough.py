"""Memory, disk and the docker command are looked at before anything is made."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubewire.core.errors import HostError
from kubewire.lab.schema import Lab
from kubewire.providers.kind import preflight
from kubewire.providers.kind.engine import connect

GIB = 1024**3
LAB = Lab.model_validate({"name": "demo", "mode": "iptables"})


class Server(socketserver.ThreadingUnixStreamServer):
    """A Docker engine that only describes itself."""

    info: dict[str, object]


class Describing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        version = {"Version": "28.2.2", "ApiVersion": "1.50", "MinAPIVersion": "1.24"}
        body = json.dumps(self.server.info if self.path.endswith("/info") else version).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def engine_saying(folder: Path, monkeypatch: pytest.MonkeyPatch, **info: object) -> Iterator[None]:
    path = folder / "docker.sock"
    with Server(str(path), Describing) as server:
        server.info = info
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield
        server.shutdown()


@pytest.fixture(autouse=True)
def docker_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    command = tmp_path / "bin" / "docker"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    return command


def require() -> None:
    engine = connect()
    try:
        preflight.require(LAB, engine)
    finally:
        engine.close()


def test_enough_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine_saying(tmp_path, monkeypatch, MemTotal=4 * GIB, DockerRootDir="/nowhere"):
        require()


def test_too_little_memory_is_told_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        engine_saying(tmp_path, monkeypatch, MemTotal=GIB, DockerRootDir="/nowhere"),
        pytest.raises(HostError, match=r"has 1\.0 GiB of memory, and a lab needs 2") as caught,
    ):
        require()
    assert "--provider netns" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_too_little_disk_is_told_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "none", str(root)], check=True)
    try:
        with (
            engine_saying(tmp_path, monkeypatch, MemTotal=4 * GIB, DockerRootDir=str(root)),
            pytest.raises(HostError, match=r"has 0\.3 GiB free, and the nodes need 1\.5") as caught,
        ):
            require()
    finally:
        subprocess.run(["umount", str(root)], check=True)
    assert "docker system df" in caught.value.hint


def test_without_the_docker_command_kind_can_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with (
        engine_saying(tmp_path, monkeypatch, MemTotal=4 * GIB, DockerRootDir="/nowhere"),
        pytest.raises(HostError, match="the docker command is missing"),
    ):
        require()
