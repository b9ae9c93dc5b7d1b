"""Unit tests are the same whether or not a Docker engine runs on the machine."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_docker_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
