"""Temporary folders that are locked by their owner, so that those of killed processes can be removed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kubewire.core.errors import HostError
from kubewire.core.files import UnsafeFileError, check_ancestors, open_own_folder, own_folder
from kubewire.core.locks import try_lock
from kubewire.core.paths import state_dir

LOCKING = 5.0
"""Seconds for which a process that only checks a new folder may lock it."""
LONGEST = 56
"""Bytes of the base folder's path: SSH's sockets below it stay within a socket path's 107."""


def new_folder(what: str, base: Path | None = None) -> Path:
    """`BASE/WHAT-PID-…`, mode 0700; the default base has a path short enough for sockets.

    This process holds a lock on it until it ends. The pid in the name covers the moment before the lock is
    taken; in another PID namespace, where the pid means nothing, the lock counts.
    """
    while True:
        folder = Path(
            tempfile.mkdtemp(prefix=f"{what}-{os.getpid()}-", dir=own_folder(base) if base else _base())
        )
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if try_lock(descriptor, LOCKING) and folder.exists():  # another `gc` may have found it without a lock
            return folder
        os.close(descriptor)


def roomy() -> Path:
    """The base for large content: on a disk, since the runtime folder may be in memory."""
    return state_dir() / "tmp"


def left_folders(what: str) -> list[Path]:
    """Those of ended processes; only real folders of this user. Lock one before any use of it."""
    found = []
    for base in _candidates():
        with suppress(UnsafeFileError, FileNotFoundError):
            check_ancestors(base)
            os.close(open_own_folder(base))
            for folder in sorted(base.glob(f"{what}-*-*")):
                with suppress(UnsafeFileError, FileNotFoundError):
                    if not Path("/proc", folder.name.split("-")[1]).exists() and not _is_held(folder):
                        found.append(folder)
    return found


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Lock the folder; whether it is this user's own and no process uses it any more."""
    try:
        descriptor = open_own_folder(folder)
    except (UnsafeFileError, FileNotFoundError):
        yield False
        return
    try:
        yield try_lock(descriptor)
    finally:
        os.close(descriptor)


def _is_held(folder: Path) -> bool:
    descriptor = open_own_folder(folder)
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def _base() -> Path:
    """The first of the user's own folders that is safe and short enough."""
    for candidate in _candidates():
        if len(os.fsencode(candidate)) <= LONGEST:
            with suppress(OSError, UnsafeFileError):
                check_ancestors(candidate)
                return own_folder(candidate)
    raise HostError(
        f"no folder of this user's own has a path short enough for sockets ({LONGEST} bytes)",
        hint="set XDG_RUNTIME_DIR to a folder of yours with mode 0700",
    )


def _candidates() -> list[Path]:
    """Possible bases: the user's runtime folder, root's, the state folder, the default one."""
    found = []
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        found.append(Path(runtime, "kubewire"))
    found.append(Path("/run/kubewire") if os.geteuid() == 0 else Path(f"/run/user/{os.geteuid()}/kubewire"))
    found.append(roomy())
    with suppress(RuntimeError):
        found.append(Path.home() / ".local/state/kubewire/tmp")
    return list(dict.fromkeys(found))
