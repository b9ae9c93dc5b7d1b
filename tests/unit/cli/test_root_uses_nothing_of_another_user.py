"""Root with a state or cache folder in another user's home: refused, and nothing is written there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to another user")


@pytest.fixture
def home() -> Iterator[Path]:
    """Another user's home folder."""
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        home = Path(folder, "home")
        home.mkdir(mode=0o755)
        Path(folder).chmod(0o755)
        os.chown(home, NOBODY, NOBODY)
        yield home


def kubewire(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": os.environ["PATH"], **environment}
    command = [sys.executable, "-m", "kubewire", *argv]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("argv", [("gc",), ("gc", "--dry-run"), ("list",), ("down", "x")])
def test_a_state_folder_in_anothers_home_is_refused(home: Path, argv: tuple[str, ...]) -> None:
    done = kubewire(*argv, HOME=str(home))
    assert done.returncode == 3, done.stderr
    assert f"belongs to user {NOBODY}" in done.stderr
    assert "sudo -H" in done.stderr
    assert "XDG_STATE_HOME" in done.stderr
    assert not list(home.iterdir())


def test_so_is_one_that_a_link_leads_to_and_one_that_others_can_write(home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home)
    assert kubewire("gc", HOME=str(home.parent), XDG_STATE_HOME=str(tmp_path / "link")).returncode == 3
    shared = home.parent / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    done = kubewire("gc", HOME=str(home.parent), XDG_STATE_HOME=str(shared))
    assert done.returncode == 3
    assert "others can write" in done.stderr


def test_so_is_a_cache_folder(home: Path, tmp_path: Path) -> None:
    done = kubewire("prefetch", "labs/iptables.yml", HOME=str(tmp_path), XDG_CACHE_HOME=str(home))
    assert done.returncode == 3, done.stderr
    assert "XDG_CACHE_HOME" in done.stderr
    assert not list(home.iterdir())


def test_with_roots_own_folders_and_as_that_user_it_goes_on(home: Path) -> None:
    own = home.parent / "roots"
    own.mkdir(mode=0o700)
    done = kubewire("gc", HOME=str(home), XDG_STATE_HOME=str(own), XDG_CACHE_HOME=str(own))
    assert done.returncode == 0, done.stderr
