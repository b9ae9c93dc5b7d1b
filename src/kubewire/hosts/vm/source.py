"""kubewire itself for the guest, compiled for its Python."""

from __future__ import annotations

from pathlib import Path

from kubewire.core import bundle
from kubewire.core.progress import Progress
from kubewire.hosts.vm.cache import part
from kubewire.hosts.vm.debian import Tools

SEED = "/opt/kubewire/seed"


def library(tools: Tools, progress: Progress) -> Path:
    """A folder for the guest's `sys.path`, recreated when one of kubewire's files has changed."""

    def make(folder: Path) -> None:
        for name, data in bundle.members().items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        tools.compile(folder, f"{SEED}/lib")

    return part("source", bundle.digest(), 0.1, make, progress)
