"""The folders of SSH sockets in the temporary folder: whose owner lives, or that holds a socket, stays."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from kubewire.hosts.sharing import WHAT, close_leftovers
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


def test_a_connection_that_outlives_its_command_keeps_its_socket(tmp_path: Path) -> None:
    left = of_an_ended_process(tmp_path)
    (left / "socket").touch()
    close_leftovers()
    assert (left / "socket").exists()
