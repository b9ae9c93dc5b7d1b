"""Restore the routes for pod traffic on a node, as kindnet and the CNI plugin ptp set them."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from kubewire.cluster.api import Api
from kubewire.providers.kind.node import LOOK, REPAIR, script


def repair(kubeconfig: Path, node: str, *, check: bool = False) -> list[str]:
    """Descriptions of the routes restored on that node, with `check` only planned."""
    with Api(kubeconfig) as api:
        items = api.get("/api/v1/nodes")["items"]
    return script(node, LOOK if check else REPAIR, *wanted(items, node)).splitlines()


def wanted(nodes: list[Mapping[str, Any]], here: str) -> list[str]:
    """`CIDR=GATEWAY` for every pod CIDR of the other nodes, by the InternalIP of the same family."""
    found = []
    for node in nodes:
        if node["metadata"]["name"] == here:
            continue
        addresses = node.get("status", {}).get("addresses", ())
        internal = [each["address"] for each in addresses if each["type"] == "InternalIP"]
        for cidr in node.get("spec", {}).get("podCIDRs", ()):
            version = ip_network(cidr).version
            found += [f"{cidr}={ip}" for ip in internal if ip_address(ip).version == version][:1]
    return found
