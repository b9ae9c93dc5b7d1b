"""The folders of SSH sockets in the temporary folder: whose owner lives, or that holds a socket, stays."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from kubewire.hosts.sharing import WHAT, close_leftovers
from kubewire.kubernetes.locks import try_lock
from kubewire.temporary import new_folder


@pytest.fixture(autouse=True)
def _temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def of_an_ended_process(folder: Path) -> Path:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = folder / f"kubewire-{WHAT}-{ended.pid}-abcdefgh"
    left.mkdir()
    return left


def test_the_empty_folder_of_a_living_run_stays() -> None:
    fresh = new_folder(WHAT)
    close_leftovers()
    assert fresh.is_dir()


def test_the_empty_folder_of_a_killed_run_goes(tmp_path: Path) -> None:
    left = of_an_ended_process(tmp_path)
    close_leftovers()
    assert not left.exists()


def test_a_lock_says_that_the_owner_lives_in_another_pid_namespace(tmp_path: Path) -> None:
    there = of_an_ended_process(tmp_path)
    descriptor = os.open(there, os.O_RDONLY | os.O_DIRECTORY)
    assert try_lock(descriptor)
    close_leftovers()
    assert there.exists()
    os.close(descriptor)
    close_leftovers()
    assert not there.exists()


def test_a_connection_that_outlives_its_command_keeps_its_socket(tmp_path: Path) -> None:
    left = of_an_ended_process(tmp_path)
    (left / "socket").touch()
    close_leftovers()
    assert (left / "socket").exists()
