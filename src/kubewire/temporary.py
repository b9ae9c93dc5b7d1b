"""Folders in the system's temporary folder whose names tell their owner, so that a killed one's are known."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def new_folder(what: str) -> Path:
    """`/tmp/kubewire-WHAT-PID-…`, mode 0700, with a path short enough for sockets (107 bytes)."""
    return Path(tempfile.mkdtemp(prefix=f"kubewire-{what}-{os.getpid()}-"))


def left_folders(what: str) -> Iterator[Path]:
    """Those whose process is gone."""
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"kubewire-{what}-*-*")):
        if not Path("/proc", folder.name.split("-")[2]).exists():
            yield folder
