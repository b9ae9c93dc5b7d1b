"""Readiness comes from the kernel's own list of listening sockets, and from probes that are really made."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kubewire.providers.netns.agent import sockdiag
from kubewire.providers.netns.agent.probes import Prober, attempt, listening_ports, named_ports
from kubewire.providers.netns.agent.sockdiag import parse

HERE = Path("/proc/self/ns/net")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="entering a network namespace needs root")

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 100001 0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000 100001 0 2 1 0 20 4 0 10 -1
"""


def test_only_listening_sockets_count() -> None:
    assert parse(TABLE) == {80}
    assert parse("") == set()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_kernels_answer_is_what_proc_shows(family: socket.AddressFamily) -> None:
    address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((address, port))
        assert port in sockdiag._dump(family)
        assert client.getsockname()[1] not in sockdiag._dump(family), "only what listens"
        client.close()
    assert port not in sockdiag._dump(family)


def test_without_netlink_proc_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: int) -> set[int]:
        raise OSError(2, "no inet_diag")

    monkeypatch.setattr(sockdiag, "_dump", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[1] in sockdiag.listening_ports()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@needs_root
def test_listening_ports_of_a_namespace() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened = server.getsockname()[1]
        assert opened in listening_ports(HERE)
    assert opened not in listening_ports(HERE)
    assert listening_ports(Path("/run/netns/there-is-none")) == set()


@needs_root
def test_http_and_tcp_probes(port: int) -> None:
    named = {"web": port}
    assert attempt({"httpGet": {"path": "/good", "port": "web"}}, "127.0.0.1", named, HERE)[0]
    assert attempt({"tcpSocket": {"port": port}}, "127.0.0.1", named, HERE) == (True, "")
    holds, why = attempt({"httpGet": {"path": "/bad", "port": "web"}}, "127.0.0.1", named, HERE)
    assert not holds and "503" in why


@needs_root
def test_a_refused_probe_says_where() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        holds, why = attempt({"tcpSocket": {"port": reserved.getsockname()[1]}}, "127.0.0.1", {}, HERE)
    assert not holds and "refused" in why


def test_a_probe_we_can_not_run_never_holds() -> None:
    holds, why = attempt({"exec": {"command": ["true"]}}, "127.0.0.1", {}, HERE)
    assert not holds and "httpGet" in why


@needs_root
def test_thresholds(port: int) -> None:
    probe = {"httpGet": {"path": "/bad", "port": port}, "periodSeconds": 0.001, "failureThreshold": 3}
    prober = Prober(probe, initial=True)
    seen = []
    for _ in range(4):
        prober._due = 0
        seen.append(prober.check("127.0.0.1", {}, HERE))
    assert seen == [True, True, False, False]
    probe["httpGet"] = {"path": "/good", "port": port}
    prober._due = 0
    assert prober.check("127.0.0.1", {}, HERE)


def test_named_ports() -> None:
    container = {"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]}
    assert named_ports(container) == {"http": 80}
