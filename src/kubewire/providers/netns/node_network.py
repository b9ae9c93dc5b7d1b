"""Each node's network as the sandbox set it up: compare it, and repair differences."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubewire.core.errors import LabError
from kubewire.core.processes import run
from kubewire.providers.base import Change
from kubewire.providers.netns import entry, topology

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab
    from kubewire.providers.netns.state import SandboxState

SECONDS = 10.0
_FORWARDING = {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}
_POLICY = re.compile(r"^:(\S+) (DROP|QUEUE) ")
_SAVERS = ("iptables", "ip6tables")


@dataclass(frozen=True)
class Seen:
    """A node's state: `ip -j address` of eth0 (None: no such link), `ip -j route` of both families, the
    sysctls of forwarding, and iptables-save's output by tool.
    """

    link: dict[str, Any] | None
    routes: tuple[dict[str, Any], ...]
    sysctls: dict[str, str]
    saved: dict[str, str]


@dataclass(frozen=True)
class Mend:
    """One command on the node (`outside`: in the sandbox, at the bridge) and a description of its repair."""

    argv: tuple[str, ...]
    text: str = ""
    outside: bool = False


def hint(lab: Lab, state: SandboxState, *, check: bool = False) -> list[Change]:
    """Restore every node's link, addresses, routes to the nodes' network and out of it, forwarding and chain
    policies; with `check` only name the differences.
    """
    changes = []
    for index, node in enumerate(topology.nodes(lab)):
        prefix = entry.node_prefix(state, node.name)
        for call in mends(index, node, topology.gateways(lab), _look(prefix)):
            if not check:
                _run([*(entry.sandbox_prefix(state) if call.outside else prefix), *call.argv], node.name)
            if call.text:
                changes.append(Change(node.name, call.text))
    return changes


def mends(index: int, node: topology.Node, gateways: Sequence[Any], seen: Seen) -> list[Mend]:
    """The calls, in order, that restore the lab's `index`-th node to what the sandbox set up."""
    calls = [] if seen.link else _new_link(index, node.name)
    if not seen.link or "UP" not in seen.link["flags"]:
        text = "link eth0 set up again" if seen.link else ""
        calls.append(Mend(("ip", "link", "set", "eth0", "up"), text))
    calls += _addresses(node, seen)
    for interface, gateway in zip(node.interfaces, gateways, strict=True):
        family, network = f"-{interface.version}", str(interface.network)
        if not _has_route(seen, network, dev="eth0"):
            source = ("scope", "link", "src", str(interface.ip)) if interface.version == 4 else ()
            argv = ("ip", family, "route", "replace", network, "dev", "eth0", "proto", "kernel", *source)
            calls.append(Mend(argv, f"route {network} dev eth0 put back"))
        if not _has_route(seen, "default", gateway=str(gateway.ip)):
            argv = ("ip", family, "route", "replace", "default", "via", str(gateway.ip))
            calls.append(Mend(argv, f"route default via {gateway.ip} put back"))
    for name, wanted in _FORWARDING.items():
        if seen.sysctls.get(name, wanted) != wanted:
            calls.append(Mend(("sysctl", "-q", "-w", f"{name}={wanted}"), f"{name} set back to {wanted}"))
    return calls + _policies(seen)


def _new_link(index: int, name: str) -> list[Mend]:
    """As in the sandbox: one end on the bridge, the other is the node's eth0."""
    link = f"veth-{index}"
    add = ("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
    return [
        Mend(add, "link eth0 made again", outside=True),
        Mend(("ip", "link", "set", link, "master", "br0", "up"), outside=True),
    ]


def _addresses(node: topology.Node, seen: Seen) -> list[Mend]:
    there = {f"{a['local']}/{a['prefixlen']}" for a in (seen.link or {}).get("addr_info", ()) if "local" in a}
    return [
        Mend(
            (
                *("ip", "address", "replace", str(interface), "dev", "eth0"),
                *(("nodad",) if interface.version == 6 else ()),
            ),
            f"address {interface} put back on eth0",
        )
        for interface in node.interfaces
        if str(interface) not in there
    ]


def _has_route(seen: Seen, destination: str, **wanted: str) -> bool:
    return any(
        route["dst"] == destination and all(route.get(key) == value for key, value in wanted.items())
        for route in seen.routes
    )


def _policies(seen: Seen) -> list[Mend]:
    """The kernel's default policy is ACCEPT, kube-proxy sets none, and kubewire needs no other."""
    calls = []
    for tool, saved in seen.saved.items():
        table = ""
        for line in saved.splitlines():
            table = line[1:] if line.startswith("*") else table
            if found := _POLICY.match(line):
                text = f"{tool} {table} {found[1]}: policy {found[2]} set back to ACCEPT"
                calls.append(Mend((tool, "-w", "-t", table, "-P", found[1], "ACCEPT"), text))
    return calls


def _look(prefix: Sequence[str]) -> Seen:
    links = run([*prefix, "ip", "-j", "address", "show", "dev", "eth0"], timeout=SECONDS)
    routes = [
        route
        for family in ("-4", "-6")
        for route in json.loads(run([*prefix, "ip", "-j", family, "route"], timeout=SECONDS).out or "[]")
    ]
    sysctls = run([*prefix, "sysctl", "-e", *_FORWARDING], timeout=SECONDS).out
    return Seen(
        link=next((link for link in json.loads(links.out or "[]") if link), None) if not links.code else None,
        routes=tuple(routes),
        sysctls=dict(line.split(" = ", 1) for line in sysctls.splitlines() if " = " in line),
        saved={tool: run([*prefix, f"{tool}-save"], timeout=SECONDS).out for tool in _SAVERS},
    )


def _run(argv: Sequence[str], node: str) -> None:
    outcome = run(argv, timeout=SECONDS)
    if outcome.code:
        raise LabError(f"its network can't be put back: {outcome.err}", where=node)
