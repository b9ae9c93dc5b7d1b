"""Which provider, and why; it never switches under a lab."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewire.core.errors import DefinitionError
from kubewire.providers.kind import engine as docker_engine
from kubewire.providers.registry import Choice, choose


class Engine(http.server.BaseHTTPRequestHandler):
    """The two answers of a Docker engine that a ping needs."""

    def do_GET(self) -> None:
        body = b'{"ApiVersion": "1.47"}' if self.path.endswith("/version") else b"OK"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker_engine, "SOCKET", tmp_path / "none")
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_docker_it_is_netns_and_says_why(no_engine: None) -> None:
    assert choose("auto") == Choice(
        "netns", "no Docker engine answers, so the lab runs embedded on this machine"
    )


def test_with_docker_it_is_kind_and_says_so(engine: None) -> None:
    assert choose("auto") == Choice("kind", "a Docker engine answers")


def test_a_dead_engine_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert docker_engine.why_silent() == "no Docker engine answers"


def test_what_is_asked_for_is_taken(engine: None) -> None:
    assert choose("netns") == Choice("netns", "asked for")
    assert choose("kind") == Choice("kind", "asked for")
    with pytest.raises(DefinitionError, match="no provider 'podman'"):
        choose("podman")


def test_the_recorded_choice_stays(engine: None) -> None:
    recorded = Choice("netns", "as it was")
    assert choose("auto", recorded=recorded) is recorded
    assert choose("netns", recorded=recorded) is recorded
    with pytest.raises(DefinitionError, match="made with provider netns"):
        choose("kind", recorded=recorded, lab="iptables")
