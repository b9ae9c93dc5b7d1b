"""A node's routes to pods: its own pods' host routes, the other nodes' pod CIDRs via those nodes.

Source: kindnet (routes to each other node's podCIDRs via its internal IP) and the CNI plugin ptp
(a host route to each pod over its veth).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from kubewire.providers.netns.agent.commands import run
from kubewire.providers.netns.agent_config import Node


@dataclass(frozen=True, order=True)
class Route:
    """A route for `destination` (a CIDR): `via` a gateway, or over the link `device`."""

    destination: str
    via: str = ""
    device: str = ""

    @property
    def version(self) -> int:
        return ip_network(self.destination).version

    def argv(self, verb: str) -> list[str]:
        """The `ip` arguments for this route; the verb is replace or delete."""
        where = ["via", self.via] if self.via else ["dev", self.device] if self.device else []
        scope = ["scope", "host"] if self.device and not self.via and self.version == 4 else []
        return [f"-{self.version}", "route", verb, self.destination, *where, *scope]

    def __str__(self) -> str:
        target = ip_network(self.destination)
        single = target.prefixlen == target.max_prefixlen
        shown = str(target.network_address) if single else self.destination
        where = f" via {self.via}" if self.via else f" dev {self.device}" if self.device else ""
        return shown + where


def pod_route(ip: str, veth: str) -> Route:
    """The host route to one local pod."""
    return Route(str(ip_network(ip)), device=veth)


def within(inner: str, outer: str) -> bool:
    """Whether the CIDR `inner` is in `outer`."""
    one, other = ip_network(inner), ip_network(outer)
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type]


def cidr_routes(node: Node, others: Iterable[tuple[Node, tuple[str, ...]]]) -> list[Route]:
    """The routes to every other node's pod CIDRs, via that node's address of the same family."""
    return [
        Route(cidr, via=ip)
        for other, cidrs in others
        if other.name != node.name
        for cidr in cidrs
        for ip in other.ips
        if ip_address(ip).version == ip_network(cidr).version
    ]


def observed(table: Iterable[Mapping[str, Any]], pod_subnets: Iterable[str]) -> list[Route]:
    """The routes to the pod subnets in `ip -j route` output, without those that the kernel created."""
    subnets = list(pod_subnets)
    found = []
    for entry in table:
        if entry["dst"] == "default" or entry.get("protocol") == "kernel":
            continue
        destination = str(ip_network(entry["dst"]))
        if any(within(destination, subnet) for subnet in subnets):
            via = entry.get("gateway", "")
            device = "" if via or entry.get("type") else entry.get("dev", "")
            found.append(Route(destination, via=via, device=device))
    return found


@dataclass(frozen=True)
class Mend:
    """One `ip` call and a description of its repair."""

    argv: tuple[str, ...]
    text: str


def mends(expected: Iterable[Route], seen: Iterable[Route]) -> list[Mend]:
    """The calls that turn the actual routes into the expected ones: remove strays, add missing ones."""
    wanted, there = set(expected), set(seen)
    stray = [
        Mend(tuple(route.argv("delete")), f"stray route {route} removed") for route in sorted(there - wanted)
    ]
    missing = [
        Mend(tuple(route.argv("replace")), f"route {route} put back") for route in sorted(wanted - there)
    ]
    return stray + missing


def table(node: Node) -> list[dict[str, Any]]:
    """The node's main routing table, both families."""
    entries: list[dict[str, Any]] = []
    for family in ("-4", "-6"):
        entries += json.loads(run([*node.enter(), "ip", "-j", family, "route", "show"]) or "[]")
    return entries


def apply(node: Node, calls: Iterable[Iterable[str]]) -> None:
    """Run `ip` calls on a node."""
    for call in calls:
        run([*node.enter(), "ip", *call])
