"""Relay a port on the host's 127.0.0.1, bound before the namespaces were created, to the apiservers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

_CHUNK = 1 << 16


async def serve(listener: socket.socket, endpoints: Sequence[tuple[str, int]]) -> asyncio.Server:
    """Relay every connection to the first endpoint that answers."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for host, port in endpoints:
            try:
                inner_reader, inner_writer = await asyncio.open_connection(host, port)
            except OSError:
                continue
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
            return
        writer.close()

    return await asyncio.start_server(handle, sock=listener)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one end is closed, then close the other."""
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()
