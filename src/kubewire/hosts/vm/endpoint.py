"""How a lab's VM is reached: its SSH server with a pinned key, and kubewire's paths in the guest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubewire.core.timeouts import VARIABLE

PYTHON = "/usr/bin/python3"
"""In the guest: a Python with kubewire's locked dependencies and kubewire itself."""
CACHE_HOME = "/opt/kubewire/cache"
"""In the guest: XDG_CACHE_HOME; the host's Kubernetes binaries lie below it, read-only."""
PATIENCE = "5"
"""The factor for deadlines in the guest."""
STATE_HOME = "/var/lib"
"""In the guest: XDG_STATE_HOME."""


def _environment() -> dict[str, str]:
    return {"XDG_CACHE_HOME": CACHE_HOME, "XDG_STATE_HOME": STATE_HOME, VARIABLE: PATIENCE}


@dataclass(frozen=True)
class Endpoint:
    """An SSH server on this machine's loopback. kubewire generates its host key and pins it in `known_hosts`.

    `alias` is the name under which the key is pinned (ssh's HostKeyAlias). `environment` is what `python`
    needs to find the binaries and to keep its state.
    """

    lab: str
    port: int
    private_key: Path
    known_hosts: Path
    alias: str
    address: str = "127.0.0.1"
    user: str = "root"
    python: str = PYTHON
    environment: Mapping[str, str] = field(default_factory=_environment)

    @property
    def options(self) -> dict[str, str]:
        """ssh's options by name."""
        return {
            "IdentityFile": str(self.private_key),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": self.alias,
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }

    @property
    def ssh(self) -> tuple[str, ...]:
        """The argv that opens a connection, without a command."""
        pairs = [part for key, value in self.options.items() for part in ("-o", f"{key}={value}")]
        return ("ssh", "-F", "none", *pairs, "-p", str(self.port), f"{self.user}@{self.address}")
