"""Pod networks by the real CNI plugins: ptp with host-local, then portmap if the pod has host ports.

Source: the CNI specification 1.0 (ADD and DEL, chained plugins) and the configuration kindnet writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from kubewire.providers.netns.agent.commands import run
from kubewire.providers.netns.agent_config import POD_NETWORK, Node

VERSION = "1.0.0"


@dataclass(frozen=True)
class Attachment:
    """A pod's network: its addresses (no prefix), the node's end of its veth pair, and the gateways."""

    ips: tuple[str, ...]
    veth: str
    gateways: tuple[str, ...]


@dataclass(frozen=True)
class Cni:
    """Where the plugins are, and where host-local keeps its leases (per node, below `data`)."""

    plugins: Path
    data: Path

    def add(
        self,
        node: Node,
        cidrs: Iterable[str],
        container: str,
        netns: Path,
        *,
        port_mappings: Iterable[Mapping[str, Any]] = (),
        ips: Iterable[str] = (),
    ) -> Attachment:
        """CNI ADD; `ips` requests these addresses. LabError with the plugin's message if it fails."""
        result: dict[str, Any] = {}
        for plugin in self.chain(node, cidrs, port_mappings, ips):
            config = {**plugin, "prevResult": result} if result else plugin
            result = json.loads(self._call("ADD", node, config, container, netns))
        return attachment(result)

    def delete(
        self,
        node: Node,
        cidrs: Iterable[str],
        container: str,
        netns: Path,
        *,
        port_mappings: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """CNI DEL, in reverse order; idempotent."""
        for plugin in reversed(self.chain(node, cidrs, port_mappings)):
            self._call("DEL", node, plugin, container, netns)

    def map_ports(
        self,
        node: Node,
        cidrs: Iterable[str],
        container: str,
        netns: Path,
        attached: Attachment,
        *,
        port_mappings: Iterable[Mapping[str, Any]],
    ) -> None:
        """Make portmap's rules of an attached pod anew."""
        cidrs = list(cidrs)
        _, portmap = self.chain(node, cidrs, port_mappings)
        ips = [
            {"address": f"{ip}/{ip_network(cidr).prefixlen}", "interface": 1}
            for ip in attached.ips
            for cidr in cidrs
            if ip_address(ip) in ip_network(cidr)
        ]
        links = [{"name": attached.veth}, {"name": "eth0", "sandbox": str(netns)}]
        result = {"cniVersion": VERSION, "interfaces": links, "ips": ips}
        for command in ("DEL", "ADD"):
            self._call(command, node, {**portmap, "prevResult": result}, container, netns)

    def chain(
        self,
        node: Node,
        cidrs: Iterable[str],
        port_mappings: Iterable[Mapping[str, Any]] = (),
        ips: Iterable[str] = (),
    ) -> list[dict[str, Any]]:
        """The plugin configurations, in the order of ADD."""
        ranges = [[{"subnet": cidr}] for cidr in cidrs]
        families = {6 if ":" in one[0]["subnet"] else 4 for one in ranges}
        common = {"cniVersion": VERSION, "name": POD_NETWORK}
        ptp: dict[str, Any] = {
            **common,
            "type": "ptp",
            "ipMasq": False,
            "mtu": 1500,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.data / node.name),
                "ranges": ranges,
                "routes": [{"dst": "0.0.0.0/0" if family == 4 else "::/0"} for family in sorted(families)],
            },
        }
        if wanted := list(ips):
            ptp["args"] = {"cni": {"ips": wanted}}
        mappings = list(port_mappings)
        if not mappings:
            return [ptp]
        portmap = {**common, "type": "portmap", "runtimeConfig": {"portMappings": mappings}}
        return [ptp, {**portmap, "capabilities": {"portMappings": True}}]

    def _call(self, command: str, node: Node, config: Mapping[str, Any], container: str, netns: Path) -> str:
        environment = {
            **os.environ,
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": str(netns),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(self.plugins),
        }
        argv = ["nsenter", f"--net={node.netns}", "--", str(self.plugins / config["type"])]
        return run(argv, stdin=json.dumps(config), env=environment)


def attachment(result: Mapping[str, Any]) -> Attachment:
    """The pod's network in a CNI result."""
    outside = [link["name"] for link in result.get("interfaces", []) if not link.get("sandbox")]
    return Attachment(
        ips=tuple(ip["address"].partition("/")[0] for ip in result["ips"]),
        veth=outside[0] if outside else "",
        gateways=tuple(ip["gateway"] for ip in result["ips"] if ip.get("gateway")),
    )


def port_mappings(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pod's host ports, in portmap's format."""
    return [
        {
            "hostPort": port["hostPort"],
            "containerPort": port["containerPort"],
            "protocol": port.get("protocol", "TCP").lower(),
            **({"hostIP": port["hostIP"]} if port.get("hostIP") else {}),
        }
        for container in pod["spec"].get("containers", [])
        for port in container.get("ports", [])
        if port.get("hostPort")
    ]
