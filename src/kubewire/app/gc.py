"""Find and remove what crashes left."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from pathlib import Path

from kubewire.core import console
from kubewire.core.errors import LabError
from kubewire.core.leftovers import Leftover, remove
from kubewire.core.paths import state_dir
from kubewire.hosts import definitions, multiplexing, overview
from kubewire.lab.lock import is_locked, lab_lock
from kubewire.lab.lookup import is_recorded, recorded_labs
from kubewire.providers.registry import providers, recorded_provider

EMPTIED = ("definitions", "errors", "logs", "labs", "locks", "tmp", "vm")
"""Folders of the state folder that are removed when empty."""


def garbage() -> list[Leftover]:
    """What crashes left, found without changing anything. Each is removed under its lock, if it is unused:

    - dead labs of every provider; of kind its Docker network too, if a Docker engine answers
    - definitions that other machines sent
    - records and SSH tunnels of labs that their hosts no longer have
    - folders of SSH sockets
    - VMs
    - cells of nightlies
    - build folders
    - logs of labs that don't exist, tracebacks, lock files
    """
    from kubewire.app import cells
    from kubewire.binaries import workspace
    from kubewire.hosts.vm import machine

    found = [left for provider in providers() for left in provider.garbage()]
    gone = {left.lab for left in found}
    return [
        *found,
        *definitions.garbage(gone),
        *overview.garbage(),
        *multiplexing.garbage(),
        *machine.garbage(),
        *cells.garbage(),
        *workspace.garbage(),
        *_logs(gone),
        *_files(),
    ]


def collect_garbage(found: Sequence[Leftover]) -> list[str]:
    """Remove what `garbage` found, and folders that are empty then; a line for each thing removed."""
    removed = remove(found)
    state = state_dir()
    remove_empty([*(state / name for name in EMPTIED), state])
    return removed


def left_alone() -> list[str]:
    """The labs whose state can't be determined, with the reason; they are not removed."""
    unknown = []
    for lab in recorded_labs():
        try:
            recorded_provider(lab)
        except LabError as error:
            unknown.append(f"lab {lab}: {error.what}")
    return [reason for provider in providers() for reason in provider.left_alone()] + unknown


def _logs(gone: AbstractSet[str]) -> Iterator[Leftover]:
    """The logs of labs that don't exist, except those that are removed with a lab in `gone`."""
    folder = state_dir() / "logs"
    for logs in sorted(folder.iterdir()) if folder.is_dir() else ():
        lab = logs.name
        alone = lab not in gone or {entry.name for entry in logs.iterdir()} - {"post-mortem"}
        with suppress(LabError):
            if alone and (lab in gone or not is_recorded(lab)) and not is_locked(lab):
                yield Leftover(f"the logs {logs}", partial(_remove_logs, logs))


def _remove_logs(folder: Path) -> bool:
    with lab_lock(folder.name, "gc", wait=False):  # if locked, they are being written
        if is_recorded(folder.name):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True


def _files() -> Iterator[Leftover]:
    """Tracebacks, and lock files of killed processes."""
    for log in sorted((state_dir() / "errors").glob("*.log")):
        yield Leftover(f"the traceback {log}", partial(_unlink, log))
    for lock in sorted((state_dir() / "locks").glob("*.lock")):
        with suppress(LabError):
            if not is_locked(lock.stem):
                yield Leftover(f"the lock {lock}", partial(_release, lock.stem))


def _unlink(file: Path) -> bool:
    file.unlink(missing_ok=True)
    return True


def _release(lab: str) -> bool:
    """Take and release a lab's lock, which removes its file."""
    with lab_lock(lab, "gc", wait=False):
        return True


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove the empty ones of these folders, in this order."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            continue


def clean_up(*, dry_run: bool) -> Iterator[str]:
    """`gc` on this machine: a line for each thing that is or would be removed."""
    found = garbage()
    for reason in left_alone():
        console.err(f"left alone: {reason}")
    lines = [left.what for left in found] if dry_run else collect_garbage(found)
    yield from (f"would remove {line}" if dry_run else f"removed {line}" for line in lines)
    if not lines:
        yield "nothing to remove"
    yield from (f"not removed: the record of {line}" for line in overview.broken_records())
