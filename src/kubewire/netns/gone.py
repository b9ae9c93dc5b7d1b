"""Removing labs, and what crashes left of them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from kubewire import paths
from kubewire.netns import cgroups, making, state
from kubewire.steps.lock import is_locked

OTHERS = "kind.json"
"""A lab folder with this file is the kind provider's business."""


def remove_lab(name: str) -> bool:
    """End a lab and remove its files; False if there was nothing."""
    directory = paths.lab_dir(name)
    was_there = making.end(directory) or directory.exists()
    clear_leftovers(name)
    state.remove(directory)
    return was_there


def clear_leftovers(name: str) -> None:
    """Remove what a dead sandbox of this name left, but not the lab's record."""
    directory = paths.lab_dir(name)
    recorded = state.read_state(directory)
    for folder in recorded.cgroups if recorded and recorded.boot == state.boot_id() else ():
        cgroups.remove_left(Path(folder))
    for leftover in (state.SOCKET, state.KUBECONFIG, state.KEEPER_LOG, state.FILE):
        (directory / leftover).unlink(missing_ok=True)
    logs = state.post_mortem(name)
    shutil.rmtree(logs, ignore_errors=True)
    with suppress(OSError):
        logs.parent.rmdir()


def collect_garbage() -> list[str]:
    """Clean up after every lab that no longer lives and that nobody holds; what was removed."""
    removed = []
    for name in sorted(_named("labs", "") | _named("logs", "post-mortem")):
        if (paths.lab_dir(name) / OTHERS).exists():
            continue
        recorded = state.read_state(paths.lab_dir(name))
        if (recorded is not None and recorded.alive()) or is_locked(name):
            continue
        if remove_lab(name):
            removed.append(f"lab {name}: what a crash left in {paths.lab_dir(name)}")
        else:
            removed.append(f"lab {name}: logs of a lab that is gone")
    return removed


def _named(kind: str, holding: str) -> set[str]:
    """The labs that have a folder of this kind, with something in it called `holding`."""
    folder = paths.state_dir() / kind
    entries = folder.iterdir() if folder.is_dir() else ()
    return {entry.name for entry in entries if (entry / holding).exists()}
