"""A sandbox's files in its lab's state folder, and whether it still runs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import field

from kubewire.core import paths
from kubewire.core.files import read_record, write_record
from kubewire.core.proc import Origin, Process
from kubewire.providers.base import NodeRecord

FILE = "sandbox.json"
SOCKET = "control.sock"
KUBECONFIG = "kubeconfig"
MONITOR_LOG = "keeper.log"
SCHEMA = 1


class SandboxState(Origin, frozen=True):
    """A sandbox as its monitor recorded it. `definition` is the effective lab."""

    boot: str  # without it a record proves nothing
    lab: str
    kubernetes: str
    rootful: bool
    monitor: Process = field(name="keeper")  # the key of earlier releases
    init: Process | None
    nodes: tuple[NodeRecord, ...]
    definition: dict[str, Any]
    cgroups: tuple[str, ...] = ()

    def alive(self) -> bool:
        """Whether its monitor lives, and its PID 1 unless it isn't created yet."""
        return self.all_alive(self.monitor, self.init)


def post_mortem(lab: str) -> Path:
    """Where the monitor keeps the ends of a dead lab's logs; `down` and `gc` remove them."""
    return paths.state_dir() / "logs" / lab / "post-mortem"


def require_here(directory: Path) -> None:
    """LabError if the processes of this lab can't be seen from here, so that it must not be changed."""
    if found := read_state(directory):
        found.require_seen(f"lab {found.lab} was made", "it runs", directory)


def write_state(directory: Path, state: SandboxState) -> None:
    write_record(directory / FILE, state, SCHEMA)


def read_state(directory: Path) -> SandboxState | None:
    """The recorded sandbox, or None where there is none or its record is not understood.

    UnsafeFileError if it is not this user's own: what it describes must not be touched.
    """
    return read_record(directory / FILE, SandboxState, SCHEMA)


def remove(directory: Path) -> None:
    """Remove the sandbox's files and the lab's record, and the folder once it is empty."""
    for name in (KUBECONFIG, SOCKET, MONITOR_LOG, paths.RECORD, paths.LEDGER, FILE):
        (directory / name).unlink(missing_ok=True)
    with suppress(OSError):
        directory.rmdir()
