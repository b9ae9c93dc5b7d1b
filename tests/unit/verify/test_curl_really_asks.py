"""The probe's argv, run for real against a local server."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kubewire.providers.base import NodeHandle
from kubewire.verify.probes import REFUSED, TIMED_OUT, Probe, Vantage
from kubewire.verify.traffic import ask

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")


class Replica(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.clients.append(self.client_address)  # type: ignore[attr-defined]
        body = json.dumps({"origin": self.client_address[0]}).encode()
        self.send_response(200)
        self.send_header("X-Served-By", "httpbin-a")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class DualStack(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture
def server() -> Iterator[DualStack]:
    with DualStack(("::", 0), Replica) as running:
        running.clients = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


class Here:
    """A provider whose node is this machine."""

    name = "netns"

    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        return (NodeHandle("n", "worker", (), ()),)


def probe(address: str, port: int) -> Probe:
    return Probe(
        "traffic.clusterip", Vantage("node", "n"), "n", "ipv4", "default/httpbin:http", address, port, 5
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_every_request_is_a_connection_of_its_own(server: DualStack, address: str) -> None:
    seen = ask(Here(), "lab", {"n": ()}, probe(address, server.server_address[1]))  # type: ignore[arg-type]
    assert seen.code == 0, seen
    assert [(a.status, a.served_by, a.origin, a.client) for a in seen.answers] == [
        (200, "httpbin-a", address, address)
    ] * 5
    assert len(set(server.clients)) == 5  # type: ignore[attr-defined]


def test_a_closed_port_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen = ask(Here(), "lab", {"n": ()}, probe("127.0.0.1", port))  # type: ignore[arg-type]
    assert (seen.answers, seen.code) == ((), REFUSED)


def test_a_place_that_cannot_be_entered_is_a_reply() -> None:
    seen = ask(Here(), "lab", {}, probe("127.0.0.1", 1))  # type: ignore[arg-type]
    assert seen.answers == ()
    assert "can't be entered" in seen.complaint


@pytest.mark.parametrize(("address", "kind"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_datagram_is_refused_answered_or_lost(address: str, kind: socket.AddressFamily) -> None:
    with socket.socket(kind, socket.SOCK_DGRAM) as server:
        server.bind((address, 0))
        asked = Probe(
            check="traffic.localhost",
            vantage=Vantage("node", "n"),
            node="n",
            family="ipv4",
            service="s",
            address=address,
            port=server.getsockname()[1],
            count=1,
            outcome="refused",
            protocol="UDP",
        )

        def answer() -> None:
            server.sendto(b"here\n", server.recvfrom(100)[1])

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(Here(), "lab", {"n": ()}, asked).complaint == "answered"  # type: ignore[arg-type]
        thread.join()
        assert ask(Here(), "lab", {"n": ()}, asked).code == TIMED_OUT  # type: ignore[arg-type]
    assert ask(Here(), "lab", {"n": ()}, asked).code == REFUSED  # type: ignore[arg-type]
