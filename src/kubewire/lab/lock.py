"""A lab's lock: one command at a time changes a lab. The lock file names its holder."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.core.files import make_in
from kubewire.core.locks import is_held, open_lock, try_lock
from kubewire.core.paths import state_dir

HELD = "KUBEWIRE_LOCK_HELD"
POLL = 0.2  # seconds


@contextlib.contextmanager
def lab_lock(
    name: str, command: str, *, wait: bool = True, tell: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the lab's lock. If it is taken, `tell` its holder once and wait; LabError with `wait=False`.

    A process whose parent holds the lock (the environment variable KUBEWIRE_LOCK_HELD names the lab)
    doesn't take it again. The kernel releases it when its holder dies.
    """
    if os.environ.get(HELD) == name:
        yield
        return
    outer = os.environ.get(HELD)
    path = _path(name)
    descriptor = _acquire(path, name, wait, tell)
    try:
        holder = {"pid": os.getpid(), "command": command, "since": time.strftime("%H:%M:%S")}
        os.ftruncate(descriptor, 0)
        with contextlib.suppress(OSError):  # on a full disk a lab can still be removed
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        os.environ[HELD] = name
        yield
    finally:
        os.environ.pop(HELD, None)
        if outer:
            os.environ[HELD] = outer
        path.unlink(missing_ok=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):  # an empty state folder is removed
            path.parent.rmdir()
            path.parent.parent.rmdir()


def is_locked(name: str) -> bool:
    """Whether some process holds the lab's lock now."""
    return is_held(_path(name))


def _path(name: str) -> Path:
    return state_dir() / "locks" / f"{name}.lock"


def _acquire(path: Path, name: str, wait: bool, tell: Callable[[str], None]) -> int:
    reported = False
    while True:
        descriptor = make_in(path.parent, lambda: open_lock(path))
        if not try_lock(descriptor, 0.0 if wait else POLL):  # is_locked holds it only for a moment
            holder = _holder(descriptor)
            os.close(descriptor)
            if not wait:
                raise LabError(f"lab {name} is in use by {holder}", hint="try again when it is done")
            if not reported:
                tell(f"waiting for {holder}")
                reported = True
            time.sleep(POLL)
            continue
        if _is_current(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_current(descriptor: int, path: Path) -> bool:
    """Whether the locked file is still the one at its path: its last holder removes it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} ({holder['command']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
