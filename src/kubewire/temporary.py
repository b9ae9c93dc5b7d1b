"""Folders in the system's temporary folder that tell whether their owner lives, so that a killed one's go."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kubewire.kubernetes.locks import is_held, try_lock


def new_folder(what: str) -> Path:
    """`/tmp/kubewire-WHAT-PID-…`, mode 0700, with a path short enough for sockets (107 bytes).

    This process holds a lock on it for as long as it lives; its id in the name covers the moment before, the
    lock counts where that id means nothing, in another PID namespace.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"kubewire-{what}-{os.getpid()}-"))
    try_lock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    return folder


def left_folders(what: str) -> Iterator[Path]:
    """Those whose process is gone; another user's are not looked at."""
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"kubewire-{what}-*-*")):
        if not Path("/proc", folder.name.split("-")[2]).exists():
            with suppress(PermissionError):
                if not is_held(folder):
                    yield folder
