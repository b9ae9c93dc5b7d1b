"""A lab's own SSH connection: it carries kubectl to the apiserver over there, and ends when the lab does."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from kubewire.core.files import write_atomically
from kubewire.errors import LabError
from kubewire.hosts import far, records
from kubewire.hosts.errors import unreachable
from kubewire.hosts.records import Away
from kubewire.hosts.sharing import WHAT
from kubewire.temporary import new_folder

LINK = "ssh"
"""Beside the lab's record, a link to the folder of the connection's socket, whose path must stay short."""
KUBECONFIG = "kubeconfig"
SERVER = re.compile(r"https://127\.0\.0\.1:(\d+)")


def kubeconfig(away: Away) -> Path:
    """A kubeconfig that works from here, mode 0600; its connection is opened unless it is already."""
    path = records.folder(away.lab, away.place.name) / KUBECONFIG
    if is_open(away) and path.exists():
        return path
    close(away)
    command = ["sh", "-c", 'cat "$("$@")"', "sh", *away.place.module("kubewire", "kubeconfig", away.lab)]
    done = far.run(away, command)
    text = done.stdout.decode(errors="replace")
    found = SERVER.search(text)
    if done.returncode or found is None:
        said = done.stderr.decode(errors="replace").strip().removeprefix("kubewire: ")
        raise LabError(said or "its kubeconfig can't be read", where=away.place.name)
    port = _free_port()
    _open(away, port, int(found[1]))
    write_atomically(path, SERVER.sub(f"https://127.0.0.1:{port}", text))
    return path


def is_open(away: Away) -> bool:
    socket_path = far.shared_socket(away)
    check = ["ssh", "-o", f"ControlPath={socket_path.resolve()}", "-O", "check", "host"]
    return socket_path.exists() and subprocess.run(check, capture_output=True).returncode == 0


def close(away: Away) -> None:
    """End the connection, if there is one."""
    link = records.folder(away.lab, away.place.name) / LINK
    if not link.is_symlink():
        return
    stop = ["ssh", "-o", f"ControlPath={link.readlink()}/socket", "-O", "exit", "host"]
    subprocess.run(stop, capture_output=True)
    shutil.rmtree(link.readlink(), ignore_errors=True)
    link.unlink()


def _open(away: Away, port: int, there: int) -> None:
    folder = records.folder(away.lab, away.place.name)
    sockets = new_folder(WHAT)
    (folder / LINK).symlink_to(sockets)
    command = away.place.argv(
        away.place.module("kubewire.hosts.follow", away.lab),
        *("-f", "-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
        *(
            "-o",
            "ControlMaster=yes",
            "-o",
            f"ControlPath={sockets}/socket",
            "-o",
            "ControlPersist=no",
        ),
        *("-L", f"127.0.0.1:{port}:127.0.0.1:{there}"),
    )
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
        if done.returncode:
            said.seek(0)
            close(away)
            raise unreachable(said.read().decode(errors="replace"), away.place.name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
