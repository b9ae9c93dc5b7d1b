"""The state folders of a nightly's cells, removed when the process of a cell has ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from kubewire.core.files import UnsafeFileError, open_own_folder
from kubewire.core.leftovers import Leftover
from kubewire.core.processes import TIMED_OUT, run
from kubewire.core.temporary import held, left_folders

WHAT = "cell"
DOWN_SECONDS = 600.0
"""The timeout for removing one leftover lab; on timeout it is left for `gc`."""


def garbage() -> list[Leftover]:
    """The labs and files of killed cells: folders with a state folder for each cell of a run."""
    return [Leftover(f"the cell {folder}", partial(_forget, folder)) for folder in left_folders(WHAT)]


def _forget(folder: Path) -> bool:
    with held(folder) as ours:
        if not ours:
            return False
        for state in folder.iterdir():
            with contextlib.suppress(OSError):
                sweep(state)
        if any(folder.glob("*/kubewire/labs/*")):  # a lab couldn't be removed now
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True


def sweep(state: Path) -> None:
    """Remove the labs of a state folder whose process has ended, then the folder.

    Only labs on this machine: records of labs on other hosts are ignored. If a removal times out, the state
    is kept for `gc`.
    """
    labs = state / "kubewire" / "labs"
    try:
        os.close(open_own_folder(state))
        names = sorted(entry.name for entry in labs.iterdir())
    except FileNotFoundError:
        names = []
    except UnsafeFileError:  # not created by this user: not trusted
        return
    for name in names:
        done = run(
            [sys.executable, "-P", "-m", "kubewire.app.steps.remove", name],
            env={**os.environ, "XDG_STATE_HOME": str(state)},
            timeout=DOWN_SECONDS,
        )
        if done.code == TIMED_OUT:
            return
    shutil.rmtree(state, ignore_errors=True)
