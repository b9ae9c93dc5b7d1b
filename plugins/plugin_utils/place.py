"""How Ansible reaches a host, as kubewire's own commands reach it afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from kubewire.errors import HostError
from kubewire.hosts.place import Place


def place_of(connection: Any, variables: Mapping[str, Any]) -> Place:
    """The play's host. `kubewire_python` and `kubewire_environment` come from its inventory, or from the
    task that had kubewire there; HostError for a connection other than SSH.
    """
    name = str(variables["inventory_hostname"])
    if str(connection.transport).rpartition(".")[2] != "ssh":
        raise HostError(
            f"a lab host is reached by SSH, not by {connection.transport}",
            where=name,
            mend="give it ansible_connection: ssh in the inventory, or local if it is this machine",
        )
    become = str(variables.get("ansible_become", "")).lower() in ("true", "yes", "1")
    return Place(
        name=name,
        ssh=(str(connection.get_option("ssh_executable")), *ssh_options(connection)),
        python=str(variables.get("kubewire_python") or variables["ansible_facts"].get("kubewire_python", "")),
        environment={
            str(key): str(value) for key, value in variables.get("kubewire_environment", {}).items()
        },
        become=("sudo", "-H", "-n", "--") if become else (),
    )


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
