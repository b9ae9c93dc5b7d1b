"""kubectl's relay and the control socket, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.json import Decoder

from kubewire.core import rpc
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


class Add(Struct, tag="add", tag_field="command"):
    a: int
    b: int


class End(Struct, tag="end", tag_field="command"):
    pass


class Sum(Struct):
    sum: int = 0


def serving(path: Path) -> threading.Thread:
    ended = asyncio.Event()

    async def handler(request: Add | End) -> Sum:
        if isinstance(request, Add):
            return Sum(request.a + request.b)
        ended.set()
        return Sum()

    listener = rpc.listen(path)

    async def serve() -> None:
        requests: Decoder[Add | End] = Decoder(Add | End)
        await rpc.serve(listener, requests, handler)
        await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    return thread


def test_calls_are_answered_also_on_a_path_longer_than_the_kernels_limit(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()
    path = folder / "control.sock"
    assert len(str(path)) > 108
    thread = serving(path)
    assert rpc.call(path, Add(1, 2), Sum).sum == 3
    with pytest.raises(ValueError, match="'dance'"):
        rpc.call(path, {"command": "dance"}, Sum)
    with pytest.raises(ValueError):
        rpc.call(path, {}, Sum)
    rpc.call(path, End(), Sum)
    thread.join()


def test_nobody_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        rpc.call(tmp_path / "control.sock", End(), Sum)
    rpc.listen(tmp_path / "control.sock").close()
    with pytest.raises(OSError):
        rpc.call(tmp_path / "control.sock", End(), Sum)
