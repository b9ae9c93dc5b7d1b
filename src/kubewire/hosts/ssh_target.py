"""How a host is reached, and where kubewire is on it. Light: `kubewire exec` starts with it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

QUIET = ("-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")

Run = Callable[[str, bytes], tuple[int, str, str]]
"""Runs a shell command on a host with this standard input: exit code, standard output and error."""


@dataclass(frozen=True)
class SshTarget:
    """A host by its inventory name.

    `ssh` is the argv that opens a connection (`ssh -p 22 … address`), a command still to be added; `python`
    a Python there that can import kubewire; `environment` what it needs beside (XDG_CACHE_HOME, …);
    `become` the argv prefix that makes another user of it (`sudo -H -n --`).
    """

    name: str
    ssh: tuple[str, ...]
    python: str
    environment: Mapping[str, str] = field(default_factory=dict)
    become: tuple[str, ...] = ()

    def module(self, name: str, *arguments: str) -> tuple[str, ...]:
        """The argv, over there, of a Python module of ours; none of its working directory counts (`-P`)."""
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
        """The argv, here, that runs a command over there; `options` are ssh's."""
        program, *rest = self.ssh
        return [program, *QUIET, *options, *rest, "--", shlex.join(command)]
