"""Run a kubewire command on the lab host, from the controller."""

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
"""ssh's own exit code if it can't reach the host, or loses the connection."""
SUDO_REFUSES = "sudo: a password is required"
SECONDS = 1800.0
"""Seconds for any remote command: the longest install packages or receive binaries over a slow line."""
OF_ANY_VERSION = ("status", "down", "gc")
"""Commands that list and remove labs of any version of kubewire."""
OUTPUT_LIMIT = 64 << 20
"""Bytes that a remote command may print."""


def become(away: RemoteLab, command: Sequence[str]) -> NoReturn:
    """Replace this process by `kubewire COMMAND` on the lab host, a program on a node, with its streams and
    exit code, and a terminal if this process has one.
    """
    terminal = os.isatty(0) and os.isatty(1)
    program = (
        away.place.module("kubewire", *command) if terminal else agent.command(away.place, "run", *command)
    )
    argv = away.place.argv(program, *(("-t", "-q") if terminal else ("-T",)), *_shared(away))
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - on purpose without a shell
    except OSError as error:
        raise LabError(f"{argv[0]}: {error.strerror}", where=away.place.name) from error


def relay(away: RemoteLab, command: Sequence[str]) -> NoReturn:
    """Print the escaped output of `kubewire COMMAND` on the lab host; end with its exit code."""
    done = call(away, command)
    console.block(done.out)
    if done.err:
        console.err(done.err)
    raise SystemExit(exit_code(done))


def exit_code(done: Outcome) -> int:
    """An exit code of the CLI contract; 4 for any other."""
    return done.code if done.code in range(5) else LabError.exit_code


def call(away: RemoteLab, command: Sequence[str], *, timeout: float = SECONDS) -> Outcome:
    """Run `kubewire COMMAND` on the lab host to its end. HostError if the host can't be reached, LabError if
    it has another version of kubewire, unless the command works with any version.
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
    """Run any command on the host to its end; HostError if the host can't be reached."""
    command = away.place.argv(argv, "-T", "-o", "BatchMode=yes", *_shared(away))
    done = run_here(command, timeout=scaled(timeout), limit=limit)
    if done.code == SSH_FAILED:
        raise unreachable(done.err, away.place.name)
    return done


def runner(place: SshTarget) -> Run:
    """A function that runs a shell command on the host; HostError if it can't be reached."""

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
    """The options that use the lab's own connection, if there is one."""
    socket = shared_socket(away)
    return ("-o", f"ControlPath={socket.resolve()}") if socket.exists() else ()
