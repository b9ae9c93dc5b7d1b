"""Removing labs, and what crashes left of them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

from kubewire.core import paths
from kubewire.core.errors import LabError
from kubewire.core.leftovers import Leftover
from kubewire.core.proc import boot_id
from kubewire.lab.lock import is_locked, lab_lock
from kubewire.lab.lookup import owner_of
from kubewire.providers.netns import cgroups, creation, state

RECORDLESS = "netns"
"""Whose labs those without a record are, as a making that was killed leaves them."""


def remove_lab(name: str) -> bool:
    """End a lab and remove its files; False if there was nothing."""
    directory = paths.lab_dir(name)
    was_there = creation.end(directory) or directory.exists()
    clear_leftovers(name)
    state.remove(directory)
    return was_there


def clear_leftovers(name: str) -> None:
    """Remove what a dead sandbox of this name left, but not the lab's record."""
    directory = paths.lab_dir(name)
    state.require_here(directory)
    recorded = state.read_state(directory)
    for folder in recorded.cgroups if recorded and recorded.boot == boot_id() else ():
        cgroups.remove_left(Path(folder))
    for leftover in (state.SOCKET, state.KUBECONFIG, state.KEEPER_LOG, state.FILE):
        (directory / leftover).unlink(missing_ok=True)
    logs = state.post_mortem(name)
    shutil.rmtree(logs, ignore_errors=True)
    with suppress(OSError):
        logs.parent.rmdir()


def garbage(provider: str) -> list[Leftover]:
    """What is left of every lab of this provider's that is proved dead and that nobody holds."""
    found = []
    for name in sorted(_named("labs", "") | _named("logs", "post-mortem")):
        directory = paths.lab_dir(name)
        with suppress(LabError):  # not to be judged from here
            if _is_proved_dead(directory, provider) and not is_locked(name):
                what = "logs of a lab that is gone"
                if directory.exists():
                    what = f"what a crash left in {directory}"
                found.append(Leftover(f"lab {name}: {what}", partial(_remove_dead, name, provider), name))
    return found


def _remove_dead(name: str, provider: str) -> bool:
    with lab_lock(name, "gc", wait=False):
        if not _is_proved_dead(paths.lab_dir(name), provider):
            return False
        remove_lab(name)
        return True


def left_alone() -> list[str]:
    """Why labs in this state folder can't be judged from here, so that nothing removes them."""
    reasons = []
    for name in sorted(_named("labs", "")):
        try:
            state.require_here(paths.lab_dir(name))
        except LabError as error:
            reasons.append(str(error))
    return reasons


def _is_proved_dead(directory: Path, provider: str) -> bool:
    """Whether a lab is this provider's and none of its processes lives; to be asked under its lock.

    A lab is the provider's that its record names; without a record, a sandbox's own files say so, and it is
    netns's. A state that can't be understood proves nothing. LabError where it can't be judged from here.
    """
    state.require_here(directory)
    if (owner_of(directory) or RECORDLESS) != provider:
        return False
    if not directory.exists():
        return True
    if (directory / state.FILE).exists():
        recorded = state.read_state(directory)
        return recorded is not None and not recorded.alive()
    return any((directory / name).exists() for name in (state.SOCKET, state.KEEPER_LOG, state.RECORD))


def _named(kind: str, holding: str) -> set[str]:
    """The labs that have a folder of this kind, with something in it called `holding`."""
    folder = paths.state_dir() / kind
    entries = folder.iterdir() if folder.is_dir() else ()
    return {entry.name for entry in entries if (entry / holding).exists()}
