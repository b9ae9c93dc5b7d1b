"""`gc` as root beside folders that another user planted: nothing in them is followed, run or waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewire.app import cells
from kubewire.core.files import UnsafeFileError, check_ancestors

NOBODY = 65534
GONE = 4194305
"""No process has this id: the kernel's largest is 4194304."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="plants files of another user")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder like /tmp: everybody may write to it."""
    with tempfile.TemporaryDirectory(prefix="k") as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


def gc(shared: Path) -> subprocess.CompletedProcess[str]:
    """`kubewire gc` whose temporary folder, and whose runtime folder, is one that others can write."""
    home = shared / "root"
    home.mkdir(mode=0o700, exist_ok=True)
    environment = {
        **os.environ,
        "TMPDIR": str(shared),
        "XDG_RUNTIME_DIR": str(shared),
        "XDG_STATE_HOME": str(home / "state"),
        "HOME": str(home),
    }
    command = [sys.executable, "-m", "kubewire", "gc"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def cell(folder: Path, program: Path) -> None:
    """The folder of a cell, with a lab on another host that `program` reaches."""
    (folder / "state/kubewire/labs/x").mkdir(parents=True)
    record = folder / "state/kubewire/hosts/x/h/record.json"
    record.parent.mkdir(parents=True)
    place = {"name": "h", "ssh": [str(program)], "python": "python3", "environment": {}, "become": []}
    record.write_text(json.dumps({"schema": 1, "lab": "x", "source": "x", "inventory": [], "place": place}))


def program(folder: Path) -> tuple[Path, Path]:
    """A program in the place of ssh, and the file that it makes when it is run."""
    ran, file = folder / "ran", folder / "ssh"
    file.write_text(f"#!/bin/sh\ntouch {ran}\n")
    file.chmod(0o755)
    return file, ran


def give_away(top: Path) -> None:
    for path in (top, *top.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


@pytest.mark.parametrize("base", ["", "kubewire"])
@pytest.mark.parametrize("name", ["kubewire-cell-{}-x", "cell-{}-x"])
def test_a_planted_cell_names_no_program_to_run(shared: Path, base: str, name: str) -> None:
    file, ran = program(shared)
    planted = shared / base / name.format(GONE)
    cell(planted, file)
    give_away(shared / base if base else planted)
    if not base:
        os.chown(shared, 0, 0)
    done = gc(shared)
    assert done.returncode == 0, done.stderr
    assert not ran.exists()
    assert planted.exists()


def test_a_planted_link_or_fifo_leads_nowhere(shared: Path) -> None:
    base = shared / "kubewire"
    base.mkdir(mode=0o700)
    file, ran = program(shared)
    elsewhere = shared / "elsewhere"
    cell(elsewhere, file)
    give_away(elsewhere)
    (base / f"cell-{GONE}-link").symlink_to(elsewhere)
    os.mkfifo(base / f"cell-{GONE}-fifo")
    os.mkfifo(shared / f"kubewire-cell-{GONE}-fifo")
    done = gc(shared)
    assert done.returncode == 0, done.stderr
    assert not ran.exists()
    assert elsewhere.exists()


def test_sweeping_our_own_state_reaches_no_other_host(tmp_path: Path) -> None:
    file, ran = program(tmp_path)
    folder = tmp_path / "cell"
    cell(folder, file)
    (folder / "state").chmod(0o700)
    cells.sweep(folder / "state")
    assert not (folder / "state").exists()
    assert not ran.exists()


def test_a_folder_below_anothers_is_refused(shared: Path) -> None:
    home = shared / "home"
    (home / "state").mkdir(parents=True)
    check_ancestors(home / "state")
    os.chown(home, NOBODY, NOBODY)
    with pytest.raises(UnsafeFileError, match=f"user {NOBODY}"):
        check_ancestors(home / "state")
    os.chown(home, 0, 0)
    home.chmod(0o777)
    with pytest.raises(UnsafeFileError, match="others can write"):
        check_ancestors(home / "state")
