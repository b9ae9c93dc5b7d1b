"""The folders of SSH sockets in the user's own folder: whose owner lives, or that holds a socket, stays."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewire.core import temporary
from kubewire.core.leftovers import remove
from kubewire.core.locks import try_lock
from kubewire.core.temporary import new_folder
from kubewire.hosts import multiplexing
from kubewire.hosts.multiplexing import WHAT, garbage


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of this user's own, with a short path."""
    with tempfile.TemporaryDirectory(prefix="k") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        folder = Path(runtime, "kubewire")
        folder.mkdir(mode=0o700)
        monkeypatch.setattr(temporary, "_candidates", lambda: [folder])
        yield folder


def of_an_ended_process(folder: Path) -> Path:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = folder / f"{WHAT}-{ended.pid}-abcdefgh"
    left.mkdir(mode=0o700)
    return left


def test_the_empty_folder_of_a_living_run_stays(base: Path) -> None:
    fresh = new_folder(WHAT)
    assert fresh.parent == base
    remove(garbage())
    assert fresh.is_dir()


def test_the_empty_folder_of_a_killed_run_goes(base: Path) -> None:
    left = of_an_ended_process(base)
    remove(garbage())
    assert not left.exists()


def test_a_lock_says_that_the_owner_lives_in_another_pid_namespace(base: Path) -> None:
    there = of_an_ended_process(base)
    descriptor = os.open(there, os.O_RDONLY | os.O_DIRECTORY)
    assert try_lock(descriptor)
    remove(garbage())
    assert there.exists()
    os.close(descriptor)
    remove(garbage())
    assert not there.exists()


def test_a_connection_that_outlives_its_command_keeps_its_socket(base: Path) -> None:
    left = of_an_ended_process(base)
    (left / "socket").touch()
    remove(garbage())
    assert (left / "socket").exists()


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh")
def test_a_connection_that_does_not_answer_is_given_up(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplexing, "CLOSE_SECONDS", 0.1)
    sockets = new_folder(WHAT)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(sockets / "socket"))
        silent.listen()
        multiplexing._close(sockets)
    assert not sockets.exists()
