"""Remove labs, and what crashes left of them."""

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
"""The provider of labs without a record, which a killed creation leaves."""


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
    for leftover in (state.SOCKET, state.KUBECONFIG, state.MONITOR_LOG, state.FILE):
        (directory / leftover).unlink(missing_ok=True)
    logs = state.post_mortem(name)
    shutil.rmtree(logs, ignore_errors=True)
    with suppress(OSError):
        logs.parent.rmdir()


def garbage(provider: str) -> list[Leftover]:
    """What is left of this provider's labs that are certainly dead and not locked."""
    found = []
    for name in sorted(_named("labs", "") | _named("logs", "post-mortem")):
        directory = paths.lab_dir(name)
        with suppress(LabError):  # its processes can't be seen from here
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
    """The labs whose processes can't be seen from here, and why: nothing removes them."""
    reasons = []
    for name in sorted(_named("labs", "")):
        try:
            state.require_here(paths.lab_dir(name))
        except LabError as error:
            reasons.append(str(error))
    return reasons


def _is_proved_dead(directory: Path, provider: str) -> bool:
    """Whether a lab is this provider's and none of its processes lives; call it under the lab's lock.

    A lab's record names its provider; without a record, a sandbox's files show that it is netns. An invalid
    state proves nothing. LabError if the processes can't be seen from here.
    """
    state.require_here(directory)
    if (owner_of(directory) or RECORDLESS) != provider:
        return False
    if not directory.exists():
        return True
    if (directory / state.FILE).exists():
        recorded = state.read_state(directory)
        return recorded is not None and not recorded.alive()
    return any((directory / name).exists() for name in (state.SOCKET, state.MONITOR_LOG, paths.RECORD))


def _named(kind: str, holding: str) -> set[str]:
    """The labs that have a folder of this kind with an entry `holding`."""
    folder = paths.state_dir() / kind
    entries = folder.iterdir() if folder.is_dir() else ()
    return {entry.name for entry in entries if (entry / holding).exists()}
