"""A release host of our own, a cache of our own, and a machine without Go or network."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from releasehost import Handler, Heard, ReleaseHost

from kubewire.kubernetes import download
from kubewire.kubernetes.catalog import Origins


@pytest.fixture
def release_host() -> Iterator[ReleaseHost]:
    host = ReleaseHost()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, host))
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield host
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; what a probe found is forgotten."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    download._probe.cache_clear()
    return tmp_path / "cache" / "kubewire"


@pytest.fixture
def nothing_to_build_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Go on PATH, none from PyPI, and no proxy in the way of the local server."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("GOPROXY", "off")
    for name in [n for n in os.environ if n.lower().endswith("_proxy") or n == "PIP_FIND_LINKS"]:
        monkeypatch.delenv(name)


@pytest.fixture
def unreachable() -> Origins:
    """Release hosts that refuse the connection."""
    return Origins(kubernetes="http://127.0.0.1:9", github="http://127.0.0.1:9")


@pytest.fixture
def heard() -> Heard:
    return Heard()
