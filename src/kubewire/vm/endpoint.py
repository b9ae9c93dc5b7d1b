"""How a lab's VM is reached: its SSH server, pinned, and where kubewire lies in the guest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PYTHON = "/opt/kubewire/bin/python"
"""In the guest: its Python with kubewire's locked dependencies and kubewire itself importable."""
KUBEWIRE = "/opt/kubewire/bin/kubewire"
"""In the guest: the command `kubewire`, with its cache and state folders set."""
CACHE_HOME = "/opt/kubewire/cache"
"""In the guest: XDG_CACHE_HOME; the host's Kubernetes binaries lie below it, read-only."""
STATE_HOME = "/var/lib/kubewire"
"""In the guest: XDG_STATE_HOME."""


@dataclass(frozen=True)
class Endpoint:
    """An SSH server on this machine's loopback whose host key is pinned: made by us, in `known_hosts`.

    `alias` is the name under which the key is pinned (ssh's HostKeyAlias).
    """

    name: str
    port: int
    private_key: Path
    known_hosts: Path
    alias: str
    address: str = "127.0.0.1"
    user: str = "root"
    python: str = PYTHON
    kubewire: tuple[str, ...] = (KUBEWIRE,)
    cache_home: str = CACHE_HOME
    state_home: str = STATE_HOME
