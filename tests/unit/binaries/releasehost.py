"""A release host that tests can break, and a Progress that listens."""

from __future__ import annotations

import functools
import hashlib
import io
import ssl
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kubewire.binaries.catalog import CNI, CNI_PLUGINS, CONTROL_PLANE, COREDNS, ETCD, KUBE_PROXY, Origins
from kubewire.binaries.toolchain import architecture
from kubewire.providers.netns.certificates import Authority


@dataclass
class ReleaseHost:
    """Serves `files` by path, with Range, and misbehaves as told until `go_on`; `asked`: (path, Range)."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    break_off_once: dict[str, int] = field(default_factory=dict)
    ignores_range: bool = False
    without_length: bool = False
    claims_length: dict[str, int] = field(default_factory=dict)
    seconds_per_chunk: float = 0.0
    chunk: int = 64 * 1024
    go_on: threading.Event = field(default_factory=threading.Event)

    def origins(self) -> Origins:
        return Origins(kubernetes=self.url, github=self.url)

    def publish(self, path: str, content: bytes) -> None:
        name = path.rsplit("/", 1)[1]
        self.files[path] = content
        self.files[f"{path}.sha256"] = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()

    def publish_kubernetes(self, version: str, size: int = 200_000) -> None:
        arch = architecture()
        self.files[f"/release/{version}/bin/linux/amd64/kubectl.sha256"] = b"0" * 64
        for binary in (KUBE_PROXY, *CONTROL_PLANE):
            path = f"/release/{version}/bin/linux/{arch}/{binary}"
            self.files[path] = content = body(f"{binary} {version}", size)
            self.files[f"{path}.sha256"] = hashlib.sha256(content).hexdigest().encode()

    def publish_beside(self) -> None:
        arch = architecture()
        folder = f"etcd-{ETCD}-linux-{arch}"
        archive = tgz({f"{folder}/etcd": body("etcd"), f"{folder}/README.md": b"read me"})
        base = f"/etcd-io/etcd/releases/download/{ETCD}"
        self.files[f"{base}/{folder}.tar.gz"] = archive
        other = hashlib.sha256(b"other").hexdigest()
        self.files[f"{base}/SHA256SUMS"] = (
            f"{other}  etcd-{ETCD}-darwin-{arch}.zip\n"
            f"{hashlib.sha256(archive).hexdigest()}  {folder}.tar.gz\n"
        ).encode()
        self.publish(
            f"/containernetworking/plugins/releases/download/{CNI}/cni-plugins-linux-{arch}-{CNI}.tgz",
            tgz({f"./{plugin}": body(plugin) for plugin in (*CNI_PLUGINS, "bridge")}),
        )
        self.publish(
            f"/coredns/coredns/releases/download/{COREDNS}/coredns_{COREDNS[1:]}_linux_{arch}.tgz",
            tgz({"coredns": body("coredns")}),
        )

    def times_asked(self, path: str) -> int:
        return sum(1 for asked, _ in self.asked if asked == path)


def body(name: str, size: int = 2_000) -> bytes:
    """Recognisable, incompressible enough, and the same each time."""
    blocks = (hashlib.sha256(f"{name} {number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def tgz(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Handler(BaseHTTPRequestHandler):
    def __init__(self, host: ReleaseHost, tls: ssl.SSLContext | None, *arguments: object) -> None:
        self.host = host
        self.tls = tls
        with suppress(OSError):  # a client that doesn't trust us, or went away
            super().__init__(*arguments)  # type: ignore[arg-type]

    def setup(self) -> None:
        """The handshake, in this connection's own thread."""
        if self.tls:
            self.request = self.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self.host.asked.append((self.path, self.headers.get("Range", "")))
        self._answer(send=True)

    def _answer(self, send: bool) -> None:
        if self.path in self.host.redirects:
            self.send_response(302)
            target = self.host.redirects[self.path]
            self.send_header("Location", target if "://" in target else self.host.url + target)
            self.end_headers()
            return
        content = self.host.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        wanted = self.headers.get("Range", "")
        if wanted and not self.host.ignores_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if not self.host.without_length:
            self.send_header(
                "Content-Length", str(self.host.claims_length.get(self.path, len(content) - start))
            )
        self.end_headers()
        if not send:
            return
        end = min(len(content), self.host.break_off_once.pop(self.path, len(content)))
        try:
            for position in range(start, end, self.host.chunk):
                self.wfile.write(content[position : min(position + self.host.chunk, end)])
                self.wfile.flush()
                if len(content) > self.host.chunk and self.host.seconds_per_chunk:
                    self.host.go_on.wait(self.host.seconds_per_chunk)
        except OSError:
            pass  # the client went away
        self.close_connection = True


class Heard(list[str]):
    """A Progress that keeps what it is told."""

    def __call__(
        self, step: str, detail: str = "", done: int | None = None, total: int | None = None
    ) -> None:
        self.append(f"{step}: {detail}")


def server_side(authority: Authority, folder: Path) -> ssl.SSLContext:
    """What a server needs that calls itself 127.0.0.1."""
    pair = authority.issue("127.0.0.1", hosts=("127.0.0.1",), server=True)
    (folder / "server.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


@contextmanager
def served(host: ReleaseHost, tls: ssl.SSLContext | None) -> Iterator[ReleaseHost]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, host, tls))
    host.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
