"""The lab's one process outside its namespaces: starts PID 1, ends it with its makers, tidies up after it.

`python -m kubewire.providers.netns.monitor --lab-dir DIR --post-mortem DIR --kubectl FD --control FD --maker
PID…`, with `{"plan": …, "state": …}` on standard input. Until `commit`, PID 1 dies with any of its makers;
`up`'s caller (the first maker) may leave once the lab is made. The death of the keeper itself ends PID 1 too.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from kubewire.core import console
from kubewire.core.proc import Process, boot_id, host_id, pid_namespace, set_process_name
from kubewire.providers.netns import cgroups, linux
from kubewire.providers.netns.plan import LOGS, Plan
from kubewire.providers.netns.state import (
    KEEPER_LOG,
    NodeRecord,
    SandboxState,
    remove,
    write_state,
)

_TAIL = 1 << 16


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lab-dir", type=Path, required=True)
    parser.add_argument("--post-mortem", type=Path, required=True)
    parser.add_argument("--kubectl", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--maker", type=int, action="append", default=[])
    options = parser.parse_args(arguments)
    set_process_name("kubewire-keeper")
    keeper = Keeper(options.lab_dir, options.post_mortem, options.maker)
    kubectl, control = socket.socket(fileno=options.kubectl), socket.socket(fileno=options.control)
    try:
        order = json.loads(sys.stdin.buffer.read())
        keeper.start(Plan.from_json(json.dumps(order["plan"])), order["state"], kubectl, control)
        keeper.watch()
    except Exception:  # whatever it is, it belongs in the log, and the lab's files must go
        console.err(traceback.format_exc())
    finally:
        keeper.tidy()
    return 0


class Keeper:
    def __init__(self, lab_dir: Path, post_mortem: Path, makers: list[int]) -> None:
        self._lab_dir = lab_dir
        self._post_mortem = post_mortem
        self._makers = makers
        self._logs: int | None = None
        self._cgroups: tuple[Path, ...] = ()

    def start(
        self, plan: Plan, about: dict[str, object], kubectl: socket.socket, control: socket.socket
    ) -> None:
        """Record ourselves, then fork PID 1 into its namespaces."""
        from kubewire.providers.netns import init

        name = f"{cgroups.PREFIX}{plan.lab}-{secrets.token_hex(4)}"
        homes = cgroups.homes(cgroups.own_groups())
        self._cgroups = tuple(dict.fromkeys(home / name for home in homes.values()))
        state = replace(_initial_state(plan, about), cgroups=tuple(map(str, self._cgroups)))
        write_state(self._lab_dir, state)
        with _unlimited_if_refused():
            cgroups.make(self._cgroups)
        if plan.rootful:
            linux.unshare(linux.CLONE_NEWPID)
        else:
            uid, gid = os.geteuid(), os.getegid()
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID)
            linux.map_single_user(uid, gid)
        ours, theirs = socket.socketpair()
        sockets = init.Sockets(kubectl, control, theirs)
        inner = [folder / cgroups.SELF for folder in self._cgroups]

        def first() -> None:
            with _unlimited_if_refused():
                cgroups.join(inner)
            init.run(plan, sockets)

        self._pid = linux.fork(first, close=(ours.fileno(),))
        for inherited in (theirs, kubectl, control):
            inherited.close()
        self._line = ours
        self._init = os.pidfd_open(self._pid)
        write_state(self._lab_dir, replace(state, init=Process.of(self._pid)))

    def watch(self) -> None:
        """Until PID 1 ends: heed its words, and end it when a maker goes too early."""
        makers = {descriptor: pid for pid in self._makers if (descriptor := self._open(pid)) is not None}
        poller = select.poll()
        for descriptor in (self._init, self._line.fileno(), *makers):
            poller.register(descriptor, select.POLLIN)
        pending = ""
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == self._init:
                    return
                if descriptor in makers:
                    console.err(f"pid {makers[descriptor]}, which was making this lab, has ended")
                    self._kill()
                    return
                data = self._line.recv(4096).decode()
                if not data:
                    poller.unregister(descriptor)
                *words, pending = (pending + data).split("\n")
                for word in words:
                    for gone in self._heed(word, makers):
                        poller.unregister(gone)
                        os.close(gone)
                        del makers[gone]

    def _open(self, pid: int) -> int | None:
        try:
            return os.pidfd_open(pid)
        except ProcessLookupError:
            console.err(f"pid {pid}, which was making this lab, has ended")
            self._kill()
            return None

    def _heed(self, word: str, makers: dict[int, int]) -> list[int]:
        """What PID 1 said; returns the makers that need no watching any more."""
        match word:
            case "built":
                with suppress(OSError):
                    self._logs = os.open(f"/proc/{self._pid}/root{LOGS}", os.O_RDONLY | os.O_DIRECTORY)
            case "made":
                return [fd for fd, pid in makers.items() if pid == self._makers[0] and len(makers) > 1]
            case "commit":
                return list(makers)
        return []

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._init, signal.SIGKILL)

    def tidy(self) -> None:
        """Wait for the kernel to end the last process, keep the logs' tails, remove the lab's files."""
        if hasattr(self, "_init"):
            self._kill()
            os.waitpid(self._pid, 0)
        for folder in self._cgroups:
            cgroups.remove(folder)
        with suppress(OSError):
            self._keep_tails()
        remove(self._lab_dir)

    def _keep_tails(self) -> None:
        self._post_mortem.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy_tail(os.open(self._lab_dir / KEEPER_LOG, os.O_RDONLY), self._post_mortem / KEEPER_LOG)
        if self._logs is not None:
            for name in os.listdir(self._logs):  # noqa: PTH208 - a directory that only its descriptor reaches
                _copy_tail(os.open(name, os.O_RDONLY, dir_fd=self._logs), self._post_mortem / Path(name).name)


@contextmanager
def _unlimited_if_refused() -> Iterator[None]:
    """A lab runs also where its pods can't be limited; `status` says so."""
    try:
        yield
    except OSError as error:
        console.err(f"pods are not limited: {error}")


def _copy_tail(descriptor: int, target: Path) -> None:
    with os.fdopen(descriptor, "rb") as stream:
        stream.seek(max(0, os.fstat(descriptor).st_size - _TAIL))
        target.write_bytes(stream.read())


def _initial_state(plan: Plan, about: dict[str, object]) -> SandboxState:
    nodes = about["nodes"]
    definition = about["definition"]
    assert isinstance(nodes, list) and isinstance(definition, dict)  # noqa: S101
    return SandboxState(
        lab=plan.lab,
        kubernetes=str(about["kubernetes"]),
        rootful=plan.rootful,
        boot=boot_id(),
        keeper=Process.of(os.getpid()),
        init=None,
        nodes=tuple(NodeRecord(n["name"], n["role"], tuple(n["ips"])) for n in nodes),
        definition=definition,
        host=host_id(),
        pid_namespace=pid_namespace(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
