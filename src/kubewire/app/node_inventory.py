"""The Ansible inventory of the labs that run on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubewire.core.errors import KubewireError
from kubewire.lab.lookup import recorded_labs
from kubewire.providers.base import NodeHandle
from kubewire.providers.registry import recorded_provider


@dataclass(frozen=True)
class NodeHost:
    """One inventory host: its groups and host variables."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, Any]


def lab_group(name: str) -> str:
    """`lab_no_endpoints` for the lab no-endpoints: an Ansible group name must not have a hyphen."""
    return f"lab_{name.replace('-', '_')}"


def node_host(lab: str, node: NodeHandle) -> NodeHost:
    role = "control_planes" if node.role == "control-plane" else "workers"
    return NodeHost(
        node.name,
        ("nodes", role, lab_group(lab)),
        {
            "ansible_connection": "kubewire.lab.node",
            "kubewire_prefix": list(node.prefix),
            "kubewire_lab": lab,
            "kubewire_role": node.role,
            "kubewire_internal_ips": list(node.internal_ips),
        },
    )


def node_hosts() -> list[NodeHost]:
    """The hosts of all running labs; labs whose nodes can't be listed are skipped."""
    hosts: list[NodeHost] = []
    for lab in recorded_labs():
        try:
            hosts += [node_host(lab, node) for node in recorded_provider(lab).nodes(lab)]
        except KubewireError:
            continue
    return hosts
