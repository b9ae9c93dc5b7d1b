"""Requests and answers over a real unix socket."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from kubewire.core import rpc


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
        requests: Any = Add | End
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


def exchanged(tmp_path: Path, answer: bytes, *, timeout: float = 5.0) -> bytes:
    """What a peer that answers so is taken for."""
    path = tmp_path / "peer.sock"
    with rpc.listen(path) as listener:

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)
                if not answer.endswith(b"\n"):
                    connection.recv(1)

        threading.Thread(target=reply, daemon=True).start()
        return rpc.exchange(path, b"{}\n", timeout=timeout, limit=100)


def test_an_answer_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 100 bytes"):
        exchanged(tmp_path, b"x" * 200)


def test_an_answer_that_does_not_end_is_given_up_in_time(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        exchanged(tmp_path, b"x", timeout=0.2)
