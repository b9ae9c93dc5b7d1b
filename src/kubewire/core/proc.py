"""The identity of processes: pid and start time, on this boot, host and PID namespace."""

from __future__ import annotations

import os
import platform
import select
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from kubewire.core.errors import LabError

MAX_PID = 1 << 22
"""The kernel's own bound (PID_MAX_LIMIT)."""


class Process(Struct, frozen=True):
    """A process, identified by pid and start time (in clock ticks since boot): pids alone are reused."""

    pid: int
    started: int

    def __post_init__(self) -> None:
        if not 0 < self.pid <= MAX_PID:
            raise ValueError(f"{self.pid} is no process id")

    @classmethod
    def of(cls, pid: int) -> Process:
        """Raises ProcessLookupError when there is no such process (a zombie counts as none)."""
        fields = stat_fields(pid)
        if fields is None or fields[0] in "ZX":
            raise ProcessLookupError(pid)
        return cls(pid, int(fields[19]))

    def alive(self) -> bool:
        try:
            return Process.of(self.pid) == self
        except ProcessLookupError:
            return False

    def open(self) -> int | None:
        """A pidfd of exactly this process, or None when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive():
            return descriptor
        os.close(descriptor)
        return None


def stat_fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from the state letter (index 0) on, or None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def await_end(pidfd: int, seconds: float | None = None) -> None:
    """Wait until a process ends, or some seconds have passed."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(None if seconds is None else seconds * 1000)


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def host_id() -> str:
    """An id of this machine that survives a reboot."""
    try:
        return f"{Path('/etc/machine-id').read_text().strip()} {platform.node()}"
    except OSError:
        return platform.node()


def pid_namespace() -> int:
    """The inode of this process's PID namespace: process ids mean nothing in another."""
    return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - not a path but a namespace


class Origin(Struct, frozen=True, kw_only=True):
    """A record with the boot, host and PID namespace that it was made in: process ids are valid only there.

    Records of earlier releases name no host and no namespace: they count as local.
    """

    boot: str = field(default_factory=boot_id)
    host: str = field(default_factory=host_id)
    pid_namespace: int = field(default_factory=pid_namespace)

    def seen(self) -> Literal["here", "gone", "elsewhere"]:
        """Whether its process ids are valid here, ended with an earlier boot, or can't be checked."""
        if self.boot == boot_id():
            return "here" if self.pid_namespace in (0, pid_namespace()) else "elsewhere"
        return "gone" if self.host in ("", host_id()) else "elsewhere"

    def all_alive(self, *processes: Process | None) -> bool:
        """Whether its processes live, all that it has of these."""
        return self.seen() == "here" and all(process.alive() for process in processes if process)

    def require_seen(self, what: str, unknown: str, folder: Path) -> None:
        """LabError if it was made in another PID namespace or on another host, so that nobody can tell."""
        if self.seen() == "elsewhere":
            elsewhere = "in another PID namespace or on another host"
            raise LabError(
                f"{what} {elsewhere}: whether {unknown} can't be seen from here",
                where=str(folder),
                hint=f"run kubewire where it was made; if that is gone for good: rm -r {folder}",
            )
