"""Here: a command of kubewire, done by kubewire on the host that a lab is on."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kubewire.errors import LabError
from kubewire.hosts import records
from kubewire.hosts.errors import unreachable
from kubewire.hosts.place import Place
from kubewire.hosts.records import Away
from kubewire.vm.hosting import is_dead

if TYPE_CHECKING:
    from kubewire.hosts.steps import Run

SSH_FAILED = 255
"""ssh's own exit code where it could not reach the host, or lost it."""


def become(away: Away, command: Sequence[str]) -> NoReturn:
    """Replace this process by `kubewire COMMAND` over there: its streams, its exit code, and a terminal
    where this process has one.
    """
    terminal = os.isatty(0) and os.isatty(1)
    argv = away.place.argv(
        _kubewire(away.place, command, leash=not terminal), *_terminal(terminal), *_shared(away)
    )
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the point: no shell here
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}", where=away.place.name) from error


def call(away: Away, command: Sequence[str], data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """`kubewire COMMAND` over there, to its end; HostError where the host can't be reached."""
    return run(away, _kubewire(away.place, command, leash=True), data)


def run(away: Away, argv: Sequence[str], data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Any command over there, to its end; HostError where the host can't be reached."""
    command = away.place.argv(argv, "-T", "-o", "BatchMode=yes", *_shared(away))
    done = subprocess.run(command, input=data if data is not None else b"", capture_output=True)
    if done.returncode == SSH_FAILED:
        raise unreachable(done.stderr.decode(errors="replace"), away.place.name)
    return done


def runner(place: Place) -> Run:
    """What runs a shell command over there, as the place's user; HostError where it can't be reached."""

    def run(command: str, data: bytes) -> tuple[int, str, str]:
        words = [*place.become, *shlex.split(command)]
        done = subprocess.run(place.argv(words, "-T", "-o", "BatchMode=yes"), input=data, capture_output=True)
        error = done.stderr.decode(errors="replace")
        if done.returncode == SSH_FAILED:
            raise unreachable(error, place.name)
        return done.returncode, done.stdout.decode(errors="replace"), error

    return run


def phase(away: Away) -> str:
    """How the lab is over there: a phase as `status` tells it, `absent` for none."""
    if is_dead(away.lab, away.place.name):
        return "dead"
    told = call(away, ["status", away.lab]).stdout.decode(errors="replace")
    for line in told.splitlines():
        label, _, text = line.partition(" ")
        if label == "phase":
            return text.strip().partition(":")[0]
    return "absent"


def _kubewire(place: Place, command: Sequence[str], *, leash: bool) -> tuple[str, ...]:
    return place.module("kubewire.hosts.leash" if leash else "kubewire", *command)


def _terminal(wanted: bool) -> tuple[str, ...]:
    return ("-t", "-q") if wanted else ("-T",)


def shared_socket(away: Away) -> Path:
    """The socket of the lab's own connection (see kubewire.hosts.tunnel)."""
    return records.folder(away.lab, away.place.name) / "ssh" / "socket"


def _shared(away: Away) -> tuple[str, ...]:
    """Through the lab's own connection, where there is one."""
    socket = shared_socket(away)
    return ("-o", f"ControlPath={socket.resolve()}") if socket.exists() else ()
