"""Memory, disk and the docker command are looked at before anything is made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from docker_stand_in import docker_host
from kubewire.core.errors import HostError
from kubewire.lab.schema import Lab
from kubewire.providers.kind import preflight
from kubewire.providers.kind.engine import connect

GIB = 1024**3
VERSION = {"Version": "28.2.2", "ApiVersion": "1.50", "MinAPIVersion": "1.24"}
LAB = Lab.model_validate({"name": "demo", "mode": "iptables"})


@pytest.fixture(autouse=True)
def docker_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    command = tmp_path / "bin" / "docker"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    return command


def require() -> None:
    engine = connect()
    try:
        preflight.require(LAB, engine)
    finally:
        engine.close()


def test_enough_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with docker_host(tmp_path, monkeypatch, VERSION, MemTotal=4 * GIB, DockerRootDir="/nowhere"):
        require()


def test_too_little_memory_is_told_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        docker_host(tmp_path, monkeypatch, VERSION, MemTotal=GIB, DockerRootDir="/nowhere"),
        pytest.raises(HostError, match=r"has 1\.0 GiB of memory, and a lab needs 2") as caught,
    ):
        require()
    assert "--provider netns" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_too_little_disk_is_told_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "none", str(root)], check=True)
    try:
        with (
            docker_host(tmp_path, monkeypatch, VERSION, MemTotal=4 * GIB, DockerRootDir=str(root)),
            pytest.raises(HostError, match=r"has 0\.3 GiB free, and the nodes need 1\.5") as caught,
        ):
            require()
    finally:
        subprocess.run(["umount", str(root)], check=True)
    assert "docker system df" in caught.value.hint


def test_without_the_docker_command_kind_can_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with (
        docker_host(tmp_path, monkeypatch, VERSION, MemTotal=4 * GIB, DockerRootDir="/nowhere"),
        pytest.raises(HostError, match="the docker command is missing"),
    ):
        require()
