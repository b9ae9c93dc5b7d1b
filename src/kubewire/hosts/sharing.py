"""One SSH connection for a whole run: a lab in the making lives as long as it, and no step greets anew."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from kubewire.hosts.inventory import Target

LINK = "ssh"
"""In the run's folder, a link to its sockets, whose own path must stay short (107 bytes)."""
PREFIX = "kubewire-ssh-"
MOST_FORKS = 50


def sharing(folder: Path, target: Target) -> dict[str, str]:
    """Ansible's environment for a run on other hosts, whose connections end by `stop_sharing(folder)`."""
    sockets = new_sockets()
    (folder / LINK).symlink_to(sockets)
    return {
        "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
        "ANSIBLE_FORKS": str(min(MOST_FORKS, max(5, len(target.hosts)))),
    }


def new_sockets() -> str:
    """A new folder for connections' sockets, which carries this process's id until it holds one."""
    return tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")


def stop_sharing(folder: Path) -> None:
    """Close the connections of a run, and with them what isn't to outlive it over there."""
    sockets = folder / LINK
    if not sockets.is_symlink():
        return
    _close(sockets.readlink())
    sockets.unlink()


def close_leftovers() -> None:
    """Remove the empty folders that killed runs left; their connections had closed by themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            with suppress(OSError):
                folder.rmdir()


def _close(sockets: Path) -> None:
    for path in sorted(sockets.glob("*")):
        subprocess.run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "host"], capture_output=True)
    shutil.rmtree(sockets, ignore_errors=True)
