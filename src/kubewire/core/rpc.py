"""Requests over a unix socket: one JSON line each for request and answer, bounded, timed, typed by structs.

An invalid request, or one that its handler refuses, gets the answer `{"error": text}`.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from kubewire.core import serialization
from kubewire.core.errors import KubewireError, LabError
from kubewire.core.printable import one_line

if TYPE_CHECKING:
    import asyncio

LIMIT = 1 << 20
"""Bytes of a line."""
IDLE_SECONDS = 60.0
"""Seconds that a connection may be idle."""
SHOWN = 200
"""Characters of a peer's text in an error."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class _Refused(msgspec.Struct):
    error: str = ""


def call(path: Path, request: object, kind: type[T], *, timeout: float = 10.0) -> T:
    """The answer to one request. Raises OSError if none comes in time, ValueError with the peer's error text,
    or for an answer of another type.
    """
    line = exchange(path, _line(request), timeout=timeout)
    if refused := serialization.decode(line, _Refused).error:
        raise ValueError(refused)
    return serialization.decode(line, kind)


def exchange(path: Path, line: bytes, *, timeout: float, limit: int = LIMIT) -> bytes:
    """The answer line to a line. Raises OSError if none comes in time, ValueError over the limit."""
    end = time.monotonic() + timeout
    answer = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        _through_directory(path, connection.connect)
        connection.sendall(line)
        while not answer.endswith(b"\n"):
            connection.settimeout(max(0.001, end - time.monotonic()))
            chunk = connection.recv(1 << 16)
            if not chunk:
                raise ConnectionResetError(f"{path}: closed without an answer")
            answer += chunk
            if len(answer) > limit:
                raise ValueError(f"{path}: answered more than {limit} bytes")
    return bytes(answer)


def listen(path: Path) -> socket.socket:
    """A listening unix socket at `path` (mode 0600), which may be longer than the kernel's 107 bytes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)  # before `bind`, which creates the file with this mode
    _through_directory(path, listener.bind)
    listener.listen()
    return listener


async def serve(
    listener: socket.socket, kind: type[T], handler: Callable[[T], Awaitable[object]]
) -> asyncio.Server:
    """Answer each request with what `handler` returns."""
    import asyncio

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await asyncio.wait_for(reader.readline(), IDLE_SECONDS):
                try:
                    answer = await handler(serialization.decode(line, kind))
                except Exception as error:
                    answer = _refusal(error)
                writer.write(_line(answer))
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # gone, idle for too long, or a line over the limit
        finally:
            writer.close()

    # start_unix_server of Python 3.13 looks for the socket's file, under a path of the process that bound it.
    return await asyncio.start_server(handle, sock=listener, limit=LIMIT)


def serve_in_threads(listener: socket.socket, kind: type[T], handler: Callable[[T], object]) -> None:
    """Answer each request with what `handler` returns, in one thread a connection."""

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection, kind, handler), daemon=True).start()
            except (OSError, RuntimeError):  # no descriptor or no thread left, for now
                log.exception("a request could not be taken")
                time.sleep(0.1)

    threading.Thread(target=accept, name="control", daemon=True).start()


def answer(
    connection: socket.socket,
    kind: type[T],
    handler: Callable[[T], object],
    limit: int = LIMIT,
) -> None:
    """Answer the requests of a connection until it is closed, or idle for too long."""
    connection.settimeout(IDLE_SECONDS)
    with suppress(OSError), connection, connection.makefile("rwb") as stream:
        while (line := stream.readline(limit)).endswith(b"\n"):
            try:
                found = handler(serialization.decode(line, kind))
            except Exception as error:
                found = _refusal(error)
            stream.write(_line(found))
            stream.flush()


def decode(data: str | bytes, kind: type[T], host: str, what: str) -> T:
    """A JSON value of that type; LabError: `HOST: WHAT answered an unknown key add_host`."""
    try:
        return serialization.decode(data, kind)
    except (ValueError, RecursionError) as error:
        raise LabError(f"{what} answered {_fault(str(error))}", where=host) from error


def _line(value: object) -> bytes:
    return serialization.encode(value) + b"\n"


def _refusal(error: Exception) -> dict[str, str]:
    if isinstance(error, KubewireError | ValueError):
        return {"error": str(error)}
    log.error("a request failed", exc_info=error)
    return {"error": f"{type(error).__name__}: {error}"}


def _fault(said: str) -> str:
    unknown = re.search(r"unknown field `(.*?)`(?: - at `(.*)`)?\Z", said, re.DOTALL)
    if unknown is None:
        return f"what it may not: {_short(said)}"
    return f"an unknown key {_short(unknown[1])}" + (f" (at {_short(unknown[2])})" if unknown[2] else "")


def _short(text: str) -> str:
    return one_line(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def _through_directory(path: Path, use: Callable[[str], None]) -> None:
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
