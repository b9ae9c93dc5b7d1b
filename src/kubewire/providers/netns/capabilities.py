"""Capability probes: try operations in temporary namespaces."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kubewire.core.processes import run, search_path
from kubewire.providers.netns import linux

PATIENCE = 60.0
"""Seconds: an emulated machine is slow to load the modules that a first rule needs."""


def try_sandbox() -> str:
    """`step: error` of the first refused step, or "". Everything runs in children, nothing stays."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            _attempt(write)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        refused = stream.read()
    os.waitpid(pid, 0)
    return refused


def _attempt(report: int) -> None:
    step = "unshare"
    try:
        if linux.may_make_namespaces():
            linux.unshare(linux.CLONE_NEWPID)
        else:
            uid, gid = os.geteuid(), os.getegid()
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID)
            step = "mapping the user"
            linux.map_single_user(uid, gid)
        if os.fork():
            os.wait()
            return
        step = "unshare of mount and network namespaces"
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
        step = "mount propagation"
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
        step = "mounting /proc"
        linux.mount("proc", "/proc", "proc")
        step = "writing /proc/sys/net"
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    except OSError as error:
        os.write(report, f"{step} is refused: {os.strerror(error.errno or 0)}".encode())


def in_throwaway(argv: tuple[str, ...], text: str) -> str:
    """Run a tool in a network namespace of its own; its error, or "".

    Also "" for a tool that isn't installed, which proves nothing about the kernel.
    """
    path = search_path()
    if shutil.which(argv[0], path=path) is None:
        return ""
    user = () if linux.may_make_namespaces() else ("--user", "--map-root-user")
    own_lock = {**os.environ, "XTABLES_LOCKFILE": os.devnull, "PATH": path}
    command = ("unshare", *user, "--net", "--", *argv)
    done = run(command, data=text.encode(), timeout=PATIENCE, env=own_lock)
    return "" if done.code == 0 else " ".join(done.err.split())[:300] or f"exit {done.code}"
