"""A sandbox's monitor: `python -m kubewire.providers.netns.monitor LAB OWNER…`, its order on standard input.

It is the lab's only process outside its namespaces. PID 1 ends with it, even if it is killed.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from kubewire.core import console, monitor
from kubewire.core.paths import lab_dir
from kubewire.core.proc import Process, boot_id
from kubewire.core.serialization import decode
from kubewire.providers.base import NodeRecord
from kubewire.providers.netns import cgroups, linux
from kubewire.providers.netns.plan import LOGS, Plan
from kubewire.providers.netns.state import MONITOR_LOG, SandboxState, post_mortem, remove, write_state


class Order(msgspec.Struct):
    """`kubectl` and `control` are inherited listening sockets; the record gets the other fields."""

    plan: Plan
    kubernetes: str
    definition: dict[str, Any]
    nodes: tuple[NodeRecord, ...]
    kubectl: int
    control: int


class Sandbox(monitor.Monitored):
    what = "lab"
    program = "the lab's PID 1"

    def __init__(self, lab: str) -> None:
        self._lab = lab
        self._logs: int | None = None
        self._cgroups: tuple[Path, ...] = ()

    def start(self, order: bytes) -> None:
        """Record it, then fork PID 1 into its namespaces."""
        from kubewire.providers.netns import init

        told = decode(order, Order)
        plan = told.plan
        name = f"{cgroups.PREFIX}{plan.lab}-{secrets.token_hex(4)}"
        homes = cgroups.homes(cgroups.own_groups())
        self._cgroups = tuple(dict.fromkeys(home / name for home in homes.values()))
        state = SandboxState(
            lab=plan.lab,
            kubernetes=told.kubernetes,
            rootful=plan.rootful,
            boot=boot_id(),
            monitor=Process.of(os.getpid()),
            init=None,
            nodes=told.nodes,
            definition=told.definition,
            cgroups=tuple(map(str, self._cgroups)),
        )
        write_state(lab_dir(self._lab), state)
        with _unlimited_if_refused():
            cgroups.make(self._cgroups)
        if plan.rootful:
            linux.unshare(linux.CLONE_NEWPID)
        else:
            uid, gid = os.geteuid(), os.getegid()
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID)
            linux.map_single_user(uid, gid)
        self.line, theirs = socket.socketpair()
        kubectl, control = socket.socket(fileno=told.kubectl), socket.socket(fileno=told.control)
        sockets = init.Sockets(kubectl, control, theirs)
        inner = [folder / cgroups.SELF for folder in self._cgroups]

        def first() -> None:
            signal.set_wakeup_fd(-1)  # the monitor's own, as these handlers
            for number in monitor.SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            with _unlimited_if_refused():
                cgroups.join(inner)
            init.run(plan, sockets)

        self.pid = linux.fork(first, close=(self.line.fileno(),))
        for inherited in (theirs, kubectl, control):
            inherited.close()
        write_state(lab_dir(self._lab), replace(state, init=Process.of(self.pid)))

    def heard(self, word: str) -> None:
        if word == "built":
            with suppress(OSError):
                self._logs = os.open(f"/proc/{self.pid}/root{LOGS}", os.O_RDONLY | os.O_DIRECTORY)

    def tidy(self) -> None:
        for folder in self._cgroups:
            cgroups.remove(folder)
        with suppress(OSError):
            self._keep_tails()
        remove(lab_dir(self._lab))

    def _keep_tails(self) -> None:
        kept = post_mortem(self._lab)
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        monitor.keep_tail(os.open(lab_dir(self._lab) / MONITOR_LOG, os.O_RDONLY), kept / MONITOR_LOG)
        if self._logs is not None:
            for name in os.listdir(self._logs):  # noqa: PTH208 - a directory that only its descriptor reaches
                log = os.open(name, os.O_RDONLY, dir_fd=self._logs)
                monitor.keep_tail(log, kept / Path(name).name)


@contextmanager
def _unlimited_if_refused() -> Iterator[None]:
    """A lab also runs if its pods can't be limited; `status` shows it."""
    try:
        yield
    except OSError as error:
        console.err(f"pods are not limited: {error}")


if __name__ == "__main__":
    sys.exit(monitor.run(Sandbox))
