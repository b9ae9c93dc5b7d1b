"""Why a Docker engine can't be used, each with its way out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_stand_in import docker_host
from kubewire.core.errors import HostError
from kubewire.providers.kind.engine import answers, connect


@pytest.fixture
def old_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine of 2018."""
    with docker_host(tmp_path, monkeypatch, {"Version": "18.09.1", "ApiVersion": "1.39"}):
        yield


def test_one_that_is_too_old_is_named(old_engine: None) -> None:
    with pytest.raises(HostError, match=r"18\.09\.1 is too old: kind needs 20\.10"):
        connect()


def test_no_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert not answers()
    with pytest.raises(HostError, match="none runs here") as caught:
        connect()
    assert "systemctl start docker" in caught.value.hint
    assert "--provider netns" in caught.value.hint


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(HostError, match="nothing answers"):
        connect()


AS_AN_ORDINARY_USER = """
import os
from docker import DockerClient
from kubewire.core.errors import HostError
from kubewire.providers.kind.engine import connect, why_silent
if os.geteuid() == 0:
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
print(why_silent())
try:
    connect()
except HostError as error:
    print(error)
"""


def test_a_socket_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        told = subprocess.run(
            [sys.executable, "-c", AS_AN_ORDINARY_USER],
            env=os.environ | {"DOCKER_HOST": f"unix://{path}"},
            capture_output=True,
            text=True,
        )
    assert told.stdout.startswith("this user may not open the Docker engine's socket\n"), told.stderr
    assert "its socket may not be opened by this user" in told.stdout
    assert "usermod -aG docker" in told.stdout
    assert "--provider netns" in told.stdout
