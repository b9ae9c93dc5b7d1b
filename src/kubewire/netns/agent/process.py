"""A container's process: its own PID, mount and IPC namespaces in the pod's network, never root.

The chain is util-linux from end to end, and every link dies with the one before it: setpriv asks the kernel
for SIGKILL when the agent's thread ends, unshare kills its child, and that child is PID 1 of its namespace.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kubewire.errors import LabError

FIRST_UID = 100_000
# unshare (util-linux before 2.40) can't die of the SIGKILL that its child died of; it exits 1 with this.
_UNSHARE_AFTER_SIGKILL = "sigprocmask unblock failed"
# $1 root folder, $2 fstab, then the command; nothing of it is read as shell text.
_PREPARE = """
exec 2>&1
mount --all --fstab "$2"
cd "$1"
pivot_root . .
umount -n -l .
shift 2
exec "$@"
"""


@dataclass(frozen=True)
class Launch:
    """Everything about a process before it runs; `uid` is its user (and group)."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    netns: Path
    root: Path
    fstab: Path
    uid: int
    log: Path
    rootful: bool
    workdir: str = "/"

    def chain(self) -> list[str]:
        """The argv that runs it."""
        return [
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("nsenter", f"--net={self.netns}", "--"),
            *("unshare", "--pid", "--fork", "--kill-child", "--mount", "--ipc", "--"),
            *("/bin/sh", "-euc", _PREPARE, "pod", str(self.root), str(self.fstab)),
            *self._unprivileged(),
            *("env", "--ignore-environment", f"--chdir={self.workdir}", "--"),
            *(f"{name}={value}" for name, value in self.environment.items()),
            *self.argv,
        ]

    def _unprivileged(self) -> tuple[str, ...]:
        keep = ("--no-new-privs", "--pdeathsig", "KILL", "--")
        if self.rootful:
            user = ("--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups")
            return ("setpriv", *user, "--inh-caps=-all", "--bounding-set=-all", *keep)
        mapped = (f"--map-user={self.uid}", f"--map-group={self.uid}")
        return ("unshare", "--user", *mapped, "--", "setpriv", *keep)


class Process:
    """A running (or ended) process; `pid` is the container's own first process, seen from the agent."""

    def __init__(self, launch: Launch) -> None:
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        self._complaints = launch.root.parent / "launch.log"
        with launch.log.open("ab") as log, self._complaints.open("wb") as complaints:
            try:
                self._chain = subprocess.Popen(
                    launch.chain(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=complaints,
                    env={**os.environ, "LC_ALL": "C"},
                    start_new_session=True,
                )
            except OSError as error:
                raise LabError(f"the pod's process can't start: {error}") from error
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Known a moment after the start; None before, and once it has ended."""
        if self._pid is None and self._chain.poll() is None:
            self._pid = next(iter(_children(self._chain.pid)), None)
        return self._pid

    def exit_code(self) -> int | None:
        """None while it runs; 128+N for death by signal N."""
        code = self._chain.poll()
        if code == 1 and _UNSHARE_AFTER_SIGKILL in self._said():
            return 128 + signal.SIGKILL
        return code if code is None or code >= 0 else 128 - code

    def complaint(self) -> str:
        """What the chain before the container said when it could not start it."""
        said = self._said()
        return "" if _UNSHARE_AFTER_SIGKILL in said else said

    def _said(self) -> str:
        try:
            return self._complaints.read_text(errors="replace").strip()
        except OSError:
            return ""

    def terminate(self) -> None:
        """SIGTERM to the container's first process."""
        pid = self.pid
        if pid is not None and self._chain.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the container, and wait until all of it is gone."""
        deadline = time.monotonic() + 2
        while self._chain.poll() is None and time.monotonic() < deadline:
            pid = self.pid
            with suppress(ProcessLookupError):
                os.kill(pid if pid is not None else self._chain.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._chain.wait(timeout=0.2)
        self._chain.kill()
        self._chain.wait()


def _children(pid: int) -> Sequence[int]:
    """The direct children of a process, also on kernels without /proc/PID/task/TID/children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return [int(entry.name) for entry in Path("/proc").iterdir() if _parent(entry) == pid]
    except OSError:
        return []


def _parent(entry: Path) -> int | None:
    if not entry.name.isdigit():
        return None
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
