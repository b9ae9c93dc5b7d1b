"""How Ansible reaches a host, as kubewire's own commands reach it afterwards."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubewire.core.errors import HostError
from kubewire.hosts.ssh_errors import SUDO
from kubewire.hosts.ssh_target import SshTarget

PERSIST = "20s"
"""As in ansible.cfg: a lab that is being created lives as long as its connection."""


def place_of(connection: Any, variables: Mapping[str, Any]) -> SshTarget:
    """The play's host. `kubewire_python` and `kubewire_environment` come from its inventory, or from the
    task that installed kubewire; HostError for a connection other than SSH.
    """
    name = str(variables["inventory_hostname"])
    if str(connection.transport).rpartition(".")[2] != "ssh":
        raise HostError(
            f"a lab host is reached by SSH, not by {connection.transport}",
            where=name,
            hint="give it ansible_connection: ssh in the inventory, or local if it is this machine",
        )
    return SshTarget(
        name=name,
        ssh=(str(connection.get_option("ssh_executable")), *ssh_options(connection)),
        python=str(variables.get("kubewire_python") or variables["ansible_facts"].get("kubewire_python", "")),
        environment={
            str(key): str(value) for key, value in variables.get("kubewire_environment", {}).items()
        },
        become=_become(connection, name),
    )


def _become(connection: Any, host: str) -> tuple[str, ...]:
    """The command to become another user on the host, as set by play, task or inventory; HostError for
    anything but sudo.
    """
    plugin = connection.become
    user = plugin and (plugin.get_option("become_user") or "root")
    if plugin is None or user == connection.get_option("remote_user"):
        return ()
    if plugin.name != "sudo":
        raise HostError(f"kubewire doesn't become {user} by {plugin.name}", where=host, hint=SUDO)
    return ("sudo", "-H", "-n", "-u", str(user), "--")


def shared(place: SshTarget, connection: Any) -> SshTarget:
    """The SSH target, with one connection for all steps of a run, beside those of Ansible's modules."""
    folder = Path(str(connection.get_option("control_path_dir"))).expanduser()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256("\0".join(place.ssh).encode()).hexdigest()[:10]
    program, *rest = place.ssh
    options = (
        "-o",
        "ControlMaster=auto",
        "-o",
        f"ControlPersist={PERSIST}",
        "-o",
        f"ControlPath={folder}/{name}",
    )
    return replace(place, ssh=(program, *options, *rest))


def ssh_options(connection: Any) -> list[str]:
    """The options of Ansible's ssh for this host and its address, without those that share connections."""
    given = [connection.get_option(name) or "" for name in ("ssh_args", "ssh_common_args", "ssh_extra_args")]
    options = _without_sharing(shlex.split(" ".join(given)))
    for flag, option in (("-p", "port"), ("-i", "private_key_file"), ("-l", "remote_user")):
        if value := connection.get_option(option):
            options += [flag, str(value)]
    if not connection.get_option("host_key_checking"):
        options += ["-o", "StrictHostKeyChecking=no"]
    return [*options, str(connection.get_option("host"))]


def _without_sharing(options: list[str]) -> list[str]:
    kept: list[str] = []
    for option in options:
        if option.removeprefix("-o").startswith(("ControlMaster", "ControlPersist", "ControlPath")):
            if kept and kept[-1] == "-o":
                kept.pop()
            continue
        kept.append(option)
    return kept
