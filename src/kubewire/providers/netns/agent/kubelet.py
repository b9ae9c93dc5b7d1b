"""The kubelet's HTTPS port on every node: `kubectl logs` works, other requests get a hint.

Source: kubelet's server.go (/containerLogs, /exec, /attach, /portForward) and the PodLogOptions of the API.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from kubewire.providers.netns.agent.container import Container
from kubewire.providers.netns.agent.namespaces import inside
from kubewire.providers.netns.agent.nodes import KUBELET_PORT
from kubewire.providers.netns.agent.pods import Pods
from kubewire.providers.netns.agent_config import Config, KubeletTls, Node

log = logging.getLogger(__name__)
_CHUNK = 65_536
_POLL_SECONDS = 0.2
REFUSED = ("exec", "attach", "portForward", "run", "cri")


def serve(config: Config, pods: Pods) -> None:
    """Listen on port 10250 of every node's addresses, in one thread; nothing without a certificate."""
    if config.kubelet is None:
        return
    context = _context(config.kubelet)
    chooser = selectors.DefaultSelector()
    for node in config.nodes:
        for ip in node.ips:
            server = _Server(node, ip, context, pods)
            chooser.register(server, selectors.EVENT_READ, server)
    threading.Thread(target=_accept, args=(chooser,), name="kubelet", daemon=True).start()


def _accept(chooser: selectors.BaseSelector) -> None:
    while True:
        for key, _ in chooser.select():
            key.data.handle_request()


def _context(tls: KubeletTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    context.load_verify_locations(tls.client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Server(ThreadingHTTPServer):
    """One listening socket, created inside the node's network namespace."""

    daemon_threads = True
    timeout = 0

    def __init__(self, node: Node, ip: str, context: ssl.SSLContext, pods: Pods) -> None:
        self.address_family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self.node, self.context, self.pods = node, context, pods
        with inside(node.netns):
            super().__init__((ip, KUBELET_PORT), _Request)

    def server_bind(self) -> None:
        """Skips http.server's look-up of the host name, which could wait for a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("request %s from %s on %s failed", request, client_address, self.node.name, exc_info=True)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout: ClassVar[float | None] = 60

    def setup(self) -> None:
        """Do the TLS handshake in the request's own thread."""
        self.request.settimeout(self.timeout)
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s: " + format, self.server.node.name, *args)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts == ["healthz"]:
            self._text(HTTPStatus.OK, "ok")
        elif parts[0] == "containerLogs" and len(parts) == 4:
            options = {name: values[-1] for name, values in parse_qs(url.query).items()}
            self._logs(parts[1], parts[2], parts[3], options)
        elif parts[0] in REFUSED:
            self._text(
                HTTPStatus.NOT_IMPLEMENTED,
                f"the netns provider's nodes have no {parts[0]}; to run a command on this node use: "
                f"kubewire exec LAB {self.server.node.name} -- COMMAND",
            )
        else:
            self._text(HTTPStatus.NOT_FOUND, f"the kubewire node agent has no {url.path}")

    do_POST = do_GET  # noqa: N815

    def _logs(self, namespace: str, pod: str, name: str, options: dict[str, str]) -> None:
        worker = self.server.pods.find(namespace, pod)
        containers = worker.containers if worker else []
        container = next((one for one in containers if one.name == name), None)
        if container is None:
            self._text(HTTPStatus.NOT_FOUND, f"no container {name} of pod {namespace}/{pod} on this node")
            return
        previous = options.get("previous") == "true"
        path = container.previous_log if previous else container.log
        if not path.exists():
            missing = f'previous terminated container "{name}" in pod "{pod}" not found'
            waiting = f'container "{name}" in pod "{pod}" is waiting to start'
            self._text(HTTPStatus.BAD_REQUEST, missing if previous else waiting)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        follow = options.get("follow") == "true" and not previous
        tail = int(options["tailLines"]) if options.get("tailLines", "").isdigit() else None
        left = int(options["limitBytes"]) if options.get("limitBytes", "").isdigit() else None
        for piece in lines(path, tail, container if follow else None):
            data = piece if left is None else piece[:left]
            if data:
                self._chunk(data)
            if left is not None:
                left -= len(data)
                if left <= 0:
                    break
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _text(self, status: HTTPStatus, text: str) -> None:
        body = text.encode() + b"\n"
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def lines(path: Path, tail: int | None, following: Container | None) -> Iterator[bytes]:
    """The text of a log, or its last `tail` lines; with `following`, until that run ends."""
    if not path.exists():
        return
    with path.open("rb") as file:
        if tail is not None:
            yield b"".join(deque(file, maxlen=tail))
        while True:
            if piece := file.read(_CHUNK):
                yield piece
            elif following is None or following.process is None or following.log != path:
                return
            else:
                if path.exists() and path.stat().st_size < file.tell():
                    file.seek(0)
                time.sleep(_POLL_SECONDS)
