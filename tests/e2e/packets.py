"""Real packets, from sockets made in other network namespaces: no process runs there, so many go at once."""

from __future__ import annotations

import ctypes
import errno
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from foreign_cases import Fate

_NEWNET = 0x40000000
_QUESTION = bytes.fromhex("000101000001000000000000") + b"\x01x\x00" + bytes.fromhex("00010001")
"""A DNS query for the address of `x.`; any server answers it, if only that it knows nothing."""
_REFUSED = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET, errno.EACCES}
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Way:
    """From a client, by the name of its namespace, to an address; `source`: one of the client's addresses."""

    client: str
    address: str
    port: int
    protocol: str = "tcp"
    source: str = ""


def network_of(prefix: Sequence[str]) -> int:
    """A descriptor of the network namespace that an nsenter prefix enters; the caller closes it."""
    with subprocess.Popen([*prefix, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.read(1) == b"\n", prefix
        found = os.open(f"/proc/{process.pid}/ns/net", os.O_RDONLY)
        process.stdin.close()
    return found


@contextmanager
def _inside(network: int) -> Iterator[None]:
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(network)
        yield
    finally:
        _enter(own)
        os.close(own)


def _enter(network: int) -> None:
    if _libc.setns(network, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def send(networks: Mapping[str, int], ways: Mapping[str, Way], seconds: float) -> dict[str, Fate]:
    """How a first packet of each way ended, all sent at once: `delivered` if a connection was made or a query
    answered, `refused` if an error came back, `dropped` if nothing did within `seconds`.
    """
    fates: dict[str, Fate] = {}
    with selectors.DefaultSelector() as selector:
        for name, way in ways.items():
            kind = socket.SOCK_STREAM if way.protocol == "tcp" else socket.SOCK_DGRAM
            with _inside(networks[way.client]):
                sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
            selector.register(
                sock, selectors.EVENT_WRITE if kind == socket.SOCK_STREAM else selectors.EVENT_READ, name
            )
            if way.source:
                sock.bind((way.source, 0))
            code = sock.connect_ex((way.address, way.port))
            if way.protocol == "udp" and code == 0:
                code = _ask(sock)
            if code not in (0, errno.EINPROGRESS):
                fates[name] = _fate(code)
                selector.unregister(sock)
                sock.close()
        end = time.monotonic() + seconds
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                fates[key.data] = _fate(key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                selector.unregister(key.fileobj)
                key.fileobj.close()
        for key in list(selector.get_map().values()):
            fates[key.data] = "dropped"
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
    return fates


def _ask(sock: socket.socket) -> int:
    try:
        sock.send(_QUESTION)
    except OSError as error:
        return error.errno or 0
    return 0


def _fate(code: int) -> Fate:
    if code == 0:
        return "delivered"
    if code in _REFUSED:
        return "refused"
    if code in (errno.EPERM, errno.ETIMEDOUT):  # EPERM: dropped on the sender's own node
        return "dropped"
    raise OSError(code, os.strerror(code))
