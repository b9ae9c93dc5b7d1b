"""A monitor (conmon's word): the one process that starts what lives on, ends it with its makers, tidies up.

Until `commit` its child ends with any of the makers; the first of them, the caller, may leave once the child
is `made`. From then on it outlives them. SIGUSR1 means `commit`, SIGTERM ends it.
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

import msgspec

from kubewire.core import console
from kubewire.core.owners import makers
from kubewire.core.proc import set_process_name

SIGNALS = {signal.SIGUSR1: "commit", signal.SIGTERM: "end", signal.SIGINT: "end"}
TAIL = 1 << 16
"""Bytes of a log's end that are kept."""


class Monitored:
    """What a monitor looks after. `line` is where the child says what it has come to, a word a line."""

    what: ClassVar[str]
    program: ClassVar[str]
    pid: int = 0
    line: socket.socket | None = None

    def start(self, order: bytes) -> None:
        """Start the child: `pid` is its process."""
        raise NotImplementedError

    def heard(self, word: str) -> None:
        """The child said a word."""

    def tidy(self) -> None:
        """Keep what tells how it went, remove the rest; also where the child never started."""
        raise NotImplementedError


def start(
    module: str, lab: str, order: msgspec.Struct, log: Path, descriptors: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start `python -m module LAB MAKER…` with this order; `descriptors` keep their numbers there."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(output, "wb") as stream:
        monitor = subprocess.Popen(
            [sys.executable, "-P", "-m", module, lab, *(str(pid) for pid in makers())],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            pass_fds=descriptors,
            start_new_session=True,
        )
    assert monitor.stdin is not None  # noqa: S101 - it was started with a pipe
    with suppress(BrokenPipeError), monitor.stdin as pipe:  # one that died is noticed by the wait
        pipe.write(msgspec.json.encode(order))
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
    except Exception:  # whatever it is, it belongs in the log, and the files must go
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
    """What signals and the child say; `descriptors` become readable when there is something."""

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
    """Until the child ends, a maker goes too early, or a signal ends it."""
    child = os.pidfd_open(thing.pid)
    watched = {child: thing.program}
    for pid in pids:
        name = f"pid {pid}, which was making this {thing.what},"
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
