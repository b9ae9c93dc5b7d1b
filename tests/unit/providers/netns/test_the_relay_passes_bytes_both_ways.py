"""kubectl's relay, over real sockets."""

from __future__ import annotations

import asyncio
import socket

from kubewire.providers.netns import relay


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_bytes_go_both_ways_past_an_endpoint_that_is_down() -> None:
    async def scenario() -> None:
        inner = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = inner.sockets[0].getsockname()[1]
        with listening() as closed:
            dead = closed.getsockname()[1]
        outer = listening()
        server = await relay.serve(outer, [("127.0.0.1", dead), ("127.0.0.1", port)])
        reader, writer = await asyncio.open_connection(*outer.getsockname())
        payload = b"x" * 1_000_000
        writer.write(payload)
        assert await reader.readexactly(len(payload)) == payload
        writer.close()
        server.close()
        inner.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_with_no_endpoint_up_the_connection_closes() -> None:
    async def scenario() -> None:
        outer = listening()
        with listening() as closed:
            dead = closed.getsockname()[1]
        server = await relay.serve(outer, [("127.0.0.1", dead)])
        reader, writer = await asyncio.open_connection(*outer.getsockname())
        assert await reader.read() == b""
        writer.close()
        server.close()

    asyncio.run(asyncio.wait_for(scenario(), 10))
