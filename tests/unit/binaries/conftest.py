"""A release host of our own, a cache of our own, and a machine without Go or network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from releasehost import Heard, ReleaseHost, served, server_side

from kubewire.binaries import hashes, sums, web
from kubewire.binaries.catalog import Origins
from kubewire.providers.netns.certificates import Authority
from waiting import DEADLINE


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("release hosts of the tests")


@pytest.fixture
def trusted(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our authority is one that this machine trusts."""
    (tmp_path / "ca.pem").write_text(authority.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    web.trust.cache_clear()


@pytest.fixture
def release_host(authority: Authority, tmp_path: Path, trusted: None) -> Iterator[ReleaseHost]:
    with served(ReleaseHost(), server_side(authority, tmp_path)) as host:
        yield host


@pytest.fixture
def plain_host() -> Iterator[ReleaseHost]:
    """A host without TLS."""
    with served(ReleaseHost(), None) as host:
        yield host


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, no hash that ships; what a probe found is forgotten."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(web, "PROBE_SECONDS", DEADLINE)
    monkeypatch.setattr(hashes, "LOCK", Path(os.devnull))
    monkeypatch.setattr(sums, "SHIPPED", Path(os.devnull))
    caches = (web._probe, web.trust, hashes.shipped, sums.shipped)
    for each in caches:
        each.cache_clear()
    yield tmp_path / "cache" / "kubewire"
    for each in caches:
        each.cache_clear()


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
    return Origins(kubernetes="https://127.0.0.1:9", github="https://127.0.0.1:9")


@pytest.fixture
def heard() -> Heard:
    return Heard()
