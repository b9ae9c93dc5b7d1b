"""One multiplexed SSH connection for a whole run: a lab that isn't ready yet ends with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from kubewire.core.leftovers import Leftover
from kubewire.core.processes import run
from kubewire.core.temporary import held, left_folders, new_folder
from kubewire.core.timeouts import scaled
from kubewire.hosts.inventory import Target
from kubewire.hosts.ssh_target import SshTarget

LINK = "ssh"
"""In the run's folder, a link to its sockets, since a socket's path is limited to 107 bytes."""
WHAT = "ssh"
MOST_FORKS = 50
CLOSE_SECONDS = 30.0
"""Seconds for a connection's process to answer that it ends."""


def sharing(folder: Path, target: Target) -> dict[str, str]:
    """Ansible's environment for a run on other hosts; `stop_sharing(folder)` ends their connections."""
    sockets = new_folder(WHAT)
    (folder / LINK).symlink_to(sockets)
    return {
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        "ANSIBLE_FORKS": str(min(MOST_FORKS, max(5, len(target.hosts)))),
    }


@contextmanager
def shared(place: SshTarget) -> Iterator[SshTarget]:
    """The host, reached through one connection that ends with the block."""
    sockets = new_folder(WHAT)
    program, *rest = place.ssh
    options = ("-o", "ControlMaster=auto", "-o", f"ControlPath={sockets}/socket", "-o", "ControlPersist=60")
    try:
        yield replace(place, ssh=(program, *options, *rest))
    finally:
        _close(sockets)


def stop_sharing(folder: Path) -> None:
    """Close the connections of a run; the sessions on the lab hosts end with them."""
    sockets = folder / LINK
    if not sockets.is_symlink():
        return
    _close(sockets.readlink())
    sockets.unlink()


def garbage() -> list[Leftover]:
    """The empty folders that killed runs left; their connections are closed already."""
    return [
        Leftover(f"the folder of SSH sockets {folder}", partial(_forget, folder))
        for folder in left_folders(WHAT)
        if not any(folder.iterdir())
    ]


def _forget(folder: Path) -> bool:
    with held(folder) as ours, suppress(OSError):  # it may have a socket by now
        if ours:
            folder.rmdir()
            return True
    return False


def _close(sockets: Path) -> None:
    for path in sorted(sockets.glob("*")):
        run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "host"], timeout=scaled(CLOSE_SECONDS))
    shutil.rmtree(sockets, ignore_errors=True)
