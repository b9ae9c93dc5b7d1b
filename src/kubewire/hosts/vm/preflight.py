"""Whether this machine can run a VM, and what to do if it can't."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from kubewire.core.errors import HostError
from kubewire.core.memory import memory_available
from kubewire.hosts.vm import cache, recipe

LEAST = 2560
"""MiB that the guest needs: its kernel, a control plane, three nodes, four httpbin."""
MOST = 6144
SPARE = 512
"""MiB left to the host, besides QEMU's own memory."""
_PROGRAMS = {"ssh": "openssh-client"}
_MAKING = {"mmdebstrap": "mmdebstrap", "xz": "xz-utils"}


def require() -> None:
    """HostError naming everything that this machine lacks for a VM."""
    lacks = missing()
    if lacks:
        raise HostError(
            "this machine can't run a lab in a VM: " + "; ".join(what for what, _ in lacks),
            hint="\n  ".join(hint for _, hint in lacks),
        )


def missing(*, tools: bool = True) -> list[tuple[str, str]]:
    """(what is missing, how to fix it); without `tools`, missing packages are left out."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        here = f"{platform.system()} on {platform.machine()}"
        return [(f"the VM needs Linux on x86_64, this is {here}", "use --host NAME, an SSH host with ip_vs")]
    lacks = []
    for program, package in programs().items() if tools else ():
        if not shutil.which(program):
            lacks.append(
                (f"no {program}", f"install {program} (Debian, Ubuntu: sudo apt-get install {package})")
            )
    available = available_memory()
    if available < LEAST + SPARE:
        lacks.append(
            (
                f"the VM needs {LEAST + SPARE} MiB of memory, {available} MiB are available",
                "end what takes memory, or use --host NAME, an SSH host with ip_vs",
            )
        )
    return lacks


def programs() -> dict[str, str]:
    """The commands that a VM needs on this machine: command → Debian package."""
    return _PROGRAMS | ({} if has_root() else _MAKING)


def has_root() -> bool:
    """Whether the guest's Debian is in the cache."""
    return (cache.folder() / f"root-{recipe.root_key()}").is_dir()


def memory() -> int:
    """MiB for the guest: most of what is available, up to what a lab can use."""
    return max(LEAST, min(MOST, available_memory() * 2 // 3))


def available_memory() -> int:
    """MiB that programs can still allocate, on the machine and in this cgroup."""
    return min([memory_available() >> 20, *_cgroup_room()])


def cpus() -> int:
    return max(1, min(4, len(os.sched_getaffinity(0))))


def _cgroup_room() -> list[int]:
    """MiB up to the limit of this process's cgroup (version 2), if it has one."""
    try:
        group = Path("/proc/self/cgroup").read_text().splitlines()[-1].rpartition("::")[2]
        base = Path("/sys/fs/cgroup", group.lstrip("/"))
        limit, used = ((base / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return [(int(limit) - int(used)) // 2**20] if limit != "max" else []
    except (OSError, ValueError, IndexError):
        return []
