"""The SSH target: how a host is reached, and where kubewire is on it. Light: `kubewire exec` imports it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

QUIET = ("-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")

Run = Callable[[str, bytes], tuple[int, str, str]]
"""Runs a shell command on a host with this standard input; exit code, standard output and error."""


@dataclass(frozen=True)
class SshTarget:
    """A host by its inventory name.

    `ssh` is the argv that opens a connection (`ssh -p 22 … address`), without a command; `python` a Python on
    the host that can import kubewire; `environment` the variables that it needs (XDG_CACHE_HOME, …); `become`
    the argv prefix that switches the user (`sudo -H -n --`).
    """

    name: str
    ssh: tuple[str, ...]
    python: str
    environment: Mapping[str, str] = field(default_factory=dict)
    become: tuple[str, ...] = ()

    def module(self, name: str, *arguments: str) -> tuple[str, ...]:
        """The argv, on the host, of one of kubewire's Python modules; `-P`: not of the working directory."""
        variables = [f"{key}={value}" for key, value in sorted(self.environment.items())]
        return (
            *self.become,
            *(("env", *variables) if variables else ()),
            self.python,
            "-P",
            "-m",
            name,
            *arguments,
        )

    def argv(self, command: Sequence[str], *options: str) -> list[str]:
        """The local argv that runs a command on the host; `options` are ssh's."""
        program, *rest = self.ssh
        return [program, *QUIET, *options, *rest, "--", shlex.join(command)]
