"""A container's process: never root, with its own PID, mount and IPC namespaces in the pod's network.

The agent starts `launcher`, which waits for the container's first process. Both die with their parent: the
kernel sends SIGKILL when the agent's thread, or the launcher, ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.providers.netns.agent.rootfs import Mount

_LAUNCHER = (sys.executable, "-P", "-S", "-m", "kubewire.providers.netns.agent.launcher")
_SOURCE = Path(__file__).parents[4]


@dataclass(frozen=True)
class Launch:
    """The specification of a process; `uid` is its user (and group).

    `cgroups` are the folders of the control groups to join, `processes` its user's limit (0: none).
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    netns: Path
    root: Path
    mounts: tuple[Mount, ...]
    uid: int
    log: Path
    rootful: bool
    workdir: str = "/"
    cgroups: tuple[Path, ...] = ()
    processes: int = 0

    def order(self) -> bytes:
        """The launcher's standard input: on a command line, others could read the environment."""
        return json.dumps(asdict(self), default=str).encode()


class Process:
    """A running (or ended) process; `pid` is the container's first process as the agent sees it."""

    def __init__(self, launch: Launch) -> None:
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        self._complaints = launch.root.parent / "launch.log"
        with (
            os.fdopen(os.memfd_create("order"), "w+b") as order,
            launch.log.open("ab") as log,
            self._complaints.open("wb") as complaints,
        ):
            order.write(launch.order())
            order.seek(0)
            try:
                self._launcher = subprocess.Popen(
                    _LAUNCHER,
                    stdin=order,
                    stdout=log,
                    stderr=complaints,
                    env={"PYTHONPATH": str(_SOURCE), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise LabError(f"the pod's process can't start: {error}") from error
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Known shortly after the start; None before, and once it has ended."""
        if self._pid is None and self._launcher.poll() is None:
            self._pid = next(iter(_children(self._launcher.pid)), None)
        return self._pid

    def exit_code(self) -> int | None:
        """None while it runs; 128+N for death by signal N."""
        code = self._launcher.poll()
        return code if code is None or code >= 0 else 128 - code

    def complaint(self) -> str:
        """Why the launcher could not start the container; empty if it did."""
        try:
            return self._complaints.read_text(errors="replace").strip()
        except OSError:
            return ""

    def terminate(self) -> None:
        """SIGTERM to the container's first process."""
        pid = self.pid
        if pid is not None and self._launcher.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the container, and wait until all its processes are gone."""
        deadline = time.monotonic() + 2
        while self._launcher.poll() is None and time.monotonic() < deadline:
            pid = self.pid
            with suppress(ProcessLookupError):
                os.kill(pid if pid is not None else self._launcher.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._launcher.wait(timeout=0.2)
        self._launcher.kill()
        self._launcher.wait()


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
