"""Here: a command of kubewire, done by kubewire on the host that a lab is on."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kubewire.core import console
from kubewire.core.errors import LabError
from kubewire.core.processes import Outcome
from kubewire.core.processes import run as run_here
from kubewire.core.timeouts import scaled
from kubewire.hosts import agent, records
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_errors import unreachable
from kubewire.hosts.ssh_target import Run, SshTarget

SSH_FAILED = 255
"""ssh's own exit code where it could not reach the host, or lost it."""
SUDO_REFUSES = "sudo: a password is required"
SECONDS = 1800.0
"""What any command there may take: the longest installs packages or takes in binaries over a slow line."""
OF_ANY_VERSION = ("status", "down", "gc")
"""Commands that list and remove labs whatever version of kubewire made them."""
OUTPUT_LIMIT = 64 << 20
"""Bytes that a command there may print."""


def become(away: RemoteLab, command: Sequence[str]) -> NoReturn:
    """Replace this process by `kubewire COMMAND` over there, a program on a node: its streams, its exit code,
    and a terminal where this process has one.
    """
    terminal = os.isatty(0) and os.isatty(1)
    program = (
        away.place.module("kubewire", *command) if terminal else agent.command(away.place, "run", *command)
    )
    argv = away.place.argv(program, *(("-t", "-q") if terminal else ("-T",)), *_shared(away))
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the point: no shell here
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}", where=away.place.name) from error


def relay(away: RemoteLab, command: Sequence[str]) -> NoReturn:
    """Print what `kubewire COMMAND` over there prints, made printable; end with its exit code."""
    done = call(away, command)
    console.block(done.out)
    if done.err:
        console.err(done.err)
    raise SystemExit(exit_code(done))


def exit_code(done: Outcome) -> int:
    """A code of the CLI contract; 4 for any other."""
    return done.code if done.code in range(5) else LabError.exit_code


def call(away: RemoteLab, command: Sequence[str], *, timeout: float = SECONDS) -> Outcome:
    """`kubewire COMMAND` over there, to its end. HostError where the host can't be reached, LabError where
    kubewire is another version there, unless it is a command by which any version is asked.
    """
    done = run(away, agent.command(away.place, "run", *command), timeout=timeout)
    try:
        agent.check_version(done.code, done.err, away.place.name)
    except agent.OtherVersionError:
        if command[0] not in OF_ANY_VERSION:
            raise
        return run(away, away.place.module("kubewire", *command), timeout=timeout)
    return done


def run(
    away: RemoteLab, argv: Sequence[str], *, timeout: float = SECONDS, limit: int = OUTPUT_LIMIT
) -> Outcome:
    """Any command over there, to its end; HostError where the host can't be reached."""
    command = away.place.argv(argv, "-T", "-o", "BatchMode=yes", *_shared(away))
    done = run_here(command, timeout=scaled(timeout), limit=limit)
    if done.code == SSH_FAILED:
        raise unreachable(done.err, away.place.name)
    return done


def runner(place: SshTarget) -> Run:
    """What runs a shell command over there, as the place's user; HostError where it can't be reached."""

    def run(command: str, data: bytes) -> tuple[int, str, str]:
        argv = place.argv([*place.become, *shlex.split(command)], "-T", "-o", "BatchMode=yes")
        done = run_here(argv, data=data, timeout=scaled(SECONDS), limit=OUTPUT_LIMIT)
        if done.code == SSH_FAILED or (done.code == 1 and SUDO_REFUSES in done.err):
            raise unreachable(done.err, place.name)
        return done.code, done.out, done.err

    return run


def shared_socket(away: RemoteLab) -> Path:
    """The socket of the lab's own connection (see kubewire.hosts.tunnel)."""
    return records.folder(away.lab, away.place.name) / "ssh" / "socket"


def _shared(away: RemoteLab) -> tuple[str, ...]:
    """Through the lab's own connection, where there is one."""
    socket = shared_socket(away)
    return ("-o", f"ControlPath={socket.resolve()}") if socket.exists() else ()
