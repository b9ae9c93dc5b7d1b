"""Child processes of a run: each ends with its parent, within its deadline, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kubewire.core import progress
from kubewire.core.owners import VARIABLE as MAKER
from kubewire.core.processes import dying_with_us
from kubewire.core.signals import Terminated, raise_on_terminate
from kubewire.lab.lock import HELD

TIDY_SECONDS = 20.0
"""Seconds that a child has after SIGTERM to remove its lab."""


@dataclass
class Child:
    """A running process. Times are monotonic; `stopped` is when SIGTERM was sent."""

    process: subprocess.Popen[bytes]
    deadline: float
    started: float = field(default_factory=time.monotonic)
    stopped: float | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def overdue(self) -> bool:
        return time.monotonic() > self.deadline

    def press(self) -> None:
        """Stop it: SIGTERM first, then SIGKILL to its whole group."""
        if self.stopped is None:
            self.stopped = time.monotonic()
            self.process.terminate()
        elif time.monotonic() - self.stopped > TIDY_SECONDS:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def ended(self) -> int | None:
        """The exit code once it has ended; leftover processes of its group are killed."""
        code = self.process.poll()
        if code is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return code


def start(argv: Sequence[str], log: Path, *, seconds: float, state: Path, order: bytes = b"") -> Child:
    """Start `python -m …` with a state folder of its own; the kernel kills it when this process dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = (HELD, MAKER)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in own},
        "XDG_STATE_HOME": str(state),
        progress.VARIABLE: str(log.parent / "progress.jsonl"),
    }
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*dying_with_us(), sys.executable, "-P", "-m", *argv],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=environment,
        )
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    with suppress(BrokenPipeError), process.stdin as pipe:  # its exit code shows that it died
        pipe.write(order)
    return Child(process, time.monotonic() + seconds)


def serve(arguments: Sequence[str], work: Callable[[Path, bytes], int]) -> int:
    """The other end of `start`, for a cell's module: `work` gets the folder and the order; the exit code.

    `arguments`: FOLDER PARENT. It does nothing if the parent has ended; SIGTERM ends it quietly.
    """
    folder, parent = Path(arguments[0]), int(arguments[1])
    raise_on_terminate()
    if os.getppid() != parent:  # it died before this call
        return 1
    try:
        return work(folder, sys.stdin.buffer.read())
    except Terminated:
        return 143


def wait_for_any(children: Iterable[Child], seconds: float) -> None:
    """Wait until one of them ends, or some seconds have passed."""
    poller = select.poll()
    descriptors = []
    for child in children:
        with suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(child.process.pid))
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    try:
        poller.poll(seconds * 1000)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
