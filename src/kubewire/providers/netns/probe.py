"""Probe a component with a bare HTTP request: PID 1 loads no client library."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit

from kubewire.core.timeouts import scaled
from kubewire.providers.netns.plan import Check

_TIMEOUT = 2.0
_PAUSE = 0.1


async def until(check: Check) -> None:
    """Probe until the URL answers 200; not too often, since TLS handshakes cost both sides."""
    while not await probe(check):
        await asyncio.sleep(scaled(_PAUSE))


async def probe(check: Check) -> bool:
    """Whether the URL answers 200 now."""
    url = urlsplit(check.url)
    host, port = url.hostname or "", url.port or 0
    try:
        async with asyncio.timeout(_TIMEOUT):
            context = _context(check.authority, check.client) if url.scheme == "https" else None
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(f"GET {url.path} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


@cache
def _context(authority: str, client: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority)
    if client:
        context.load_cert_chain(client)
    return context
