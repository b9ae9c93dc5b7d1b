"""A lab's own SSH connection, which forwards kubectl to the lab host's apiserver and ends with the lab.

Not the connection of a run, see multiplexing.py.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.core.files import write_atomically
from kubewire.core.ports import free_port
from kubewire.core.printable import indented
from kubewire.core.processes import run
from kubewire.core.temporary import new_folder
from kubewire.core.timeouts import scaled
from kubewire.hosts import agent, credentials, records, remote
from kubewire.hosts.multiplexing import WHAT
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_errors import unreachable

LINK = "ssh"
"""Beside the lab's record, a link to the folder of the connection's socket, which needs a short path."""
KUBECONFIG = "kubeconfig"
SSH_SECONDS = 30.0
"""Seconds for an answer of the connection's local process."""
OPEN_SECONDS = 120.0
TAIL = 1 << 16


def kubeconfig(away: RemoteLab) -> Path:
    """A kubeconfig that works on this machine, mode 0600; its connection is opened unless it is open already.

    It is built on this machine: only the certificates and the key come from the host.
    """
    path = records.folder(away.lab, away.place.name) / KUBECONFIG
    if is_open(away) and path.exists():
        return path
    close(away)
    done = remote.call(away, ["kubeconfig", away.lab, "--format", "json"])
    if done.code:
        said = indented(done.err).removeprefix("kubewire: ")
        raise LabError(said or "its kubeconfig can't be read", where=away.place.name)
    sent = credentials.received(done.stdout, away.place.name)
    port = free_port()
    _open(away, port, sent.port)
    write_atomically(path, credentials.to_kubeconfig(sent, away.lab, away.place.name, port))
    return path


def is_open(away: RemoteLab) -> bool:
    socket_path = remote.shared_socket(away)
    check = ["ssh", "-o", f"ControlPath={socket_path.resolve()}", "-O", "check", "host"]
    return socket_path.exists() and run(check, timeout=SSH_SECONDS).code == 0


def close(away: RemoteLab) -> None:
    """End the connection, if there is one."""
    link = records.folder(away.lab, away.place.name) / LINK
    if not link.is_symlink():
        return
    stop = ["ssh", "-o", f"ControlPath={link.readlink()}/socket", "-O", "exit", "host"]
    run(stop, timeout=SSH_SECONDS)
    shutil.rmtree(link.readlink(), ignore_errors=True)
    link.unlink()


def _open(away: RemoteLab, port: int, there: int) -> None:
    folder = records.folder(away.lab, away.place.name)
    sockets = new_folder(WHAT)
    (folder / LINK).symlink_to(sockets)
    command = away.place.argv(
        agent.command(away.place, "wait", away.lab),
        *("-f", "-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"),
        *("-o", "ControlMaster=yes", "-o", f"ControlPath={sockets}/socket", "-o", "ControlPersist=no"),
        *("-L", f"127.0.0.1:{port}:127.0.0.1:{there}"),
    )
    with tempfile.TemporaryFile() as said:  # a pipe would stay open as long as the connection
        done = run(command, timeout=scaled(OPEN_SECONDS), stdout=said.fileno())
        if done.code:
            said.seek(0)
            close(away)
            words = said.read(TAIL).decode(errors="replace") or done.err
            agent.check_version(done.code, words, away.place.name)
            raise unreachable(words, away.place.name)
