"""Network namespaces of pods, and code that runs inside one in the agent's process."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kubewire.providers.netns.agent.commands import run
from kubewire.providers.netns.linux import CLONE_NEWNET, CLONE_NEWUTS, unshare

POD_PREFIX = "cni-"
NETNS_DIR = Path("/run/netns")
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(netns: Path) -> Iterator[None]:
    """Within the block, the calling thread (only it) is in `netns`. Sockets created in it stay in it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(target)
        finally:
            os.close(target)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def take_hostname(name: str) -> None:
    """Give the calling thread, and every process it starts, a UTS namespace with this host name."""
    unshare(CLONE_NEWUTS)
    socket.sethostname(name)


def set_sysctls(netns: Path, values: dict[str, str]) -> None:
    """Write `net.*` sysctls (keys as paths below /proc/sys/net); one that the kernel lacks is left out."""
    with inside(netns):
        for key, value in values.items():
            with suppress(FileNotFoundError):
                Path("/proc/sys/net", key).write_text(value)


def create(name: str, sysctls: dict[str, str]) -> Path:
    """A new network namespace with its loopback up."""
    run(["ip", "netns", "add", name])
    run(["ip", "-n", name, "link", "set", "lo", "up"])
    netns = NETNS_DIR / name
    set_sysctls(netns, sysctls)
    return netns


def delete(name: str) -> None:
    """Remove a network namespace and all processes in it; a missing one is fine."""
    if not (NETNS_DIR / name).exists():
        return
    for pid in run(["ip", "netns", "pids", name]).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run(["ip", "netns", "delete", name])


def pod_namespaces() -> list[str]:
    """The names of all pods' network namespaces, also those of a previous agent."""
    if not NETNS_DIR.is_dir():
        return []
    return sorted(entry.name for entry in NETNS_DIR.iterdir() if entry.name.startswith(POD_PREFIX))
