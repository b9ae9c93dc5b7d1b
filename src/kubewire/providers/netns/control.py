"""The sandbox's control socket: one JSON object a line in, one out."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
_LIMIT = 1 << 20
IDLE_SECONDS = 60.0
"""How long a connection may say nothing."""


async def serve(listener: socket.socket, handler: Handler) -> asyncio.Server:
    """Answer each request with what `handler` returns; its ValueError becomes `{"error": text}`."""
    import asyncio

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await asyncio.wait_for(reader.readline(), IDLE_SECONDS):
                try:
                    answer = await handler(json.loads(line))
                except (ValueError, KeyError, TypeError) as error:
                    answer = {"error": str(error)}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # gone, idle for too long, or a line over the limit
        finally:
            writer.close()

    # start_unix_server of Python 3.13 looks for the socket's file, under a path of the process that bound it.
    return await asyncio.start_server(handle, sock=listener, limit=_LIMIT)


def listen(path: Path) -> socket.socket:
    """A listening unix socket at `path` (mode 0600), which may be longer than the kernel's 107 bytes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)  # before `bind`, which makes the file with this mode
    _through_directory(path, listener.bind)
    listener.listen()
    return listener


def call(path: Path, request: dict[str, Any], *, timeout: float = 10.0) -> dict[str, Any]:
    """One request. Raises OSError where nobody answers, ValueError with the answer's own error text."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        _through_directory(path, connection.connect)
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise ConnectionResetError(f"{path}: closed without an answer")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer


def _through_directory(path: Path, use: Callable[[str], None]) -> None:
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
