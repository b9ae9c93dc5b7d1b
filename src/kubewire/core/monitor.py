"""A monitor (as conmon is): starts a long-lived child, ends it if its owners end too early, cleans up.

Until `commit` the child ends with any of its owners; the first of them, the caller, may end once the child
is `made`. After `commit` the child outlives them. SIGUSR1 means `commit`, SIGTERM ends it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from kubewire.core import console
from kubewire.core.owners import owners
from kubewire.core.prctl import set_process_name
from kubewire.core.serialization import encode

SIGNALS = {signal.SIGUSR1: "commit", signal.SIGTERM: "end", signal.SIGINT: "end"}
TAIL = 1 << 16
"""Bytes of a log's end that are kept."""


class Monitored:
    """What a monitor supervises. On `line` the child reports its progress, one word a line."""

    what: ClassVar[str]
    program: ClassVar[str]
    pid: int = 0
    line: socket.socket | None = None

    def start(self, order: bytes) -> None:
        """Start the child: `pid` is its process."""
        raise NotImplementedError

    def heard(self, word: str) -> None:
        """The child reported a word."""

    def tidy(self) -> None:
        """Keep the logs, remove the rest; also if the child never started."""
        raise NotImplementedError


def start(
    module: str, lab: str, order: Struct, log: Path, descriptors: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start `python -m module LAB OWNER…` with this order; the child inherits `descriptors` by number."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(output, "wb") as stream:
        monitor = subprocess.Popen(
            [sys.executable, "-P", "-m", module, lab, *(str(pid) for pid in owners())],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            pass_fds=descriptors,
            start_new_session=True,
        )
    assert monitor.stdin is not None  # noqa: S101 - it was started with a pipe
    with suppress(BrokenPipeError), monitor.stdin as pipe:  # the wait notices one that died
        pipe.write(encode(order))
    return monitor


def run(kind: Callable[[str], Monitored]) -> int:
    """Be the monitor that `start` started, until its child has ended."""
    lab, *owners = sys.argv[1:]
    thing = kind(lab)
    set_process_name(f"kubewire-{thing.what.lower()}")
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    try:
        thing.start(sys.stdin.buffer.read())
        _watch(thing, [int(pid) for pid in owners], wake)
    except Exception:  # any failure belongs in the log, and the files must be removed
        console.err(traceback.format_exc())
    finally:
        if thing.pid:
            os.kill(thing.pid, signal.SIGKILL)
            os.waitpid(thing.pid, 0)
        thing.tidy()
    return 0


def keep_tail(descriptor: int, target: Path) -> None:
    """Write the end of a log; closes the descriptor."""
    with os.fdopen(descriptor, "rb") as stream:
        stream.seek(max(0, os.fstat(descriptor).st_size - TAIL))
        target.write_bytes(stream.read(TAIL))


class _Words:
    """Events from signals and the child; `descriptors` become readable when there is one."""

    def __init__(self, thing: Monitored, wake: int) -> None:
        self._wake = wake
        self._pending = ""
        self.descriptors = [wake, *([thing.line.fileno()] if thing.line else [])]

    def read(self, descriptor: int) -> list[str]:
        if descriptor == self._wake:
            return [SIGNALS[signal.Signals(number)] for number in os.read(self._wake, 64)]
        said = os.read(descriptor, 4096).decode()
        *words, self._pending = (self._pending + (said or "\nsilent\n")).split("\n")
        return words


def _watch(thing: Monitored, pids: Sequence[int], wake: int) -> None:
    """Wait until the child ends, an owner ends too early, or a signal ends it."""
    child = os.pidfd_open(thing.pid)
    watched = {child: thing.program}
    for pid in pids:
        name = f"pid {pid}, which was creating this {thing.what},"
        try:
            watched[os.pidfd_open(pid)] = name
        except ProcessLookupError:
            console.err(f"{name} has ended")
            return
    owners = [descriptor for descriptor in watched if descriptor != child]
    lets_go = {"made": owners[:1] if len(owners) > 1 else [], "commit": owners}
    words = _Words(thing, wake)
    poller = select.poll()
    for descriptor in (*words.descriptors, *watched):
        poller.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor in watched:
                console.err(f"{watched[descriptor]} has ended")
                return
            for word in words.read(descriptor) if descriptor in words.descriptors else ():
                thing.heard(word)
                if word == "end":
                    return
                if word == "silent":
                    poller.unregister(descriptor)
                for owner in lets_go.get(word, []):
                    if watched.pop(owner, None):
                        poller.unregister(owner)
                        os.close(owner)
