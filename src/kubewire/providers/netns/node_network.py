"""Each node's network as the sandbox set it up: compare it, and repair differences."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

from kubewire.core.errors import LabError
from kubewire.core.processes import run
from kubewire.dataplane.node_network import NodeNetwork, route_texts
from kubewire.providers.base import Change
from kubewire.providers.netns import entry, masquerade, topology
from kubewire.providers.netns.plan import NODE_SYSCTLS

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab
    from kubewire.providers.netns.state import SandboxState

SECONDS = 10.0
_POLICY = re.compile(r"^:(\S+) (DROP|QUEUE) ")
_SAVERS = ("iptables", "ip6tables")


@dataclass(frozen=True)
class Seen:
    """A node's state: `ip -j address` of eth0 (None: no such link), `ip -j route` of both families, the
    declared sysctls, iptables-save's output by tool, and whether lo is up.
    """

    link: dict[str, Any] | None
    routes: tuple[dict[str, Any], ...]
    sysctls: dict[str, str]
    saved: dict[str, str]
    loopback: bool = True


@dataclass(frozen=True)
class Mend:
    """One command on the node (`outside`: in the sandbox, at the bridge) and a description of its repair."""

    argv: tuple[str, ...]
    text: str = ""
    outside: bool = False


def declared(lab: Lab) -> dict[str, NodeNetwork]:
    """By node, what the sandbox and the node agent write into its network namespace."""
    return {
        node.name: NodeNetwork(
            links=("lo", "eth0"),
            addresses={"eth0": tuple(map(str, node.interfaces))},
            routes=(
                *(f"{interface.network} dev eth0" for interface in node.interfaces),
                *(f"default via {gateway.ip}" for gateway in topology.gateways(lab)),
            ),
            sysctls=NODE_SYSCTLS,
            masquerade=masquerade.declared(map(str, lab.pod_subnet)),
            pod_gateways=True,
        )
        for node in topology.nodes(lab)
    }


def hint(lab: Lab, state: SandboxState, only: str = "", *, check: bool = False) -> list[Change]:
    """Restore every node's (or `only` one's) links, addresses, routes to the nodes' network and out of it,
    sysctls and chain policies; with `check` only name the differences.
    """
    changes = []
    for index, (name, wanted) in enumerate(declared(lab).items()):
        if only not in ("", name):
            continue
        prefix = entry.node_prefix(state, name)
        for call in mends(index, name, wanted, _look(prefix)):
            if not check:
                _run([*(entry.sandbox_prefix(state) if call.outside else prefix), *call.argv], name)
            if call.text:
                changes.append(Change(name, call.text))
    return changes


def mends(index: int, name: str, wanted: NodeNetwork, seen: Seen) -> list[Mend]:
    """The calls, in order, that restore the lab's `index`-th node to what the sandbox set up."""
    calls = [
        Mend(("sysctl", "-q", "-w", f"{key}={value}"), f"{key} set back to {value}")
        for key, value in wanted.sysctls.items()
        if seen.sysctls.get(key, value) != value
    ]
    if not seen.loopback:
        calls.append(Mend(("ip", "link", "set", "lo", "up"), "link lo set up again"))
    calls += [] if seen.link else _new_link(index, name)
    if not seen.link or "UP" not in seen.link["flags"]:
        text = "link eth0 set up again" if seen.link else ""
        calls.append(Mend(("ip", "link", "set", "eth0", "up"), text))
    own = wanted.addresses["eth0"]
    calls += _addresses(own, seen)
    return calls + [_route(text, own) for text in wanted.routes if text not in _texts(seen)] + _policies(seen)


def _new_link(index: int, name: str) -> list[Mend]:
    """As in the sandbox: one end on the bridge, the other is the node's eth0."""
    link = f"veth-{index}"
    add = ("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
    return [
        Mend(add, "link eth0 made again", outside=True),
        Mend(("ip", "link", "set", link, "master", "br0", "up"), outside=True),
    ]


def _addresses(wanted: Sequence[str], seen: Seen) -> list[Mend]:
    there = {f"{a['local']}/{a['prefixlen']}" for a in (seen.link or {}).get("addr_info", ()) if "local" in a}
    return [
        Mend(
            ("ip", "address", "replace", address, "dev", "eth0", *(("nodad",) if ":" in address else ())),
            f"address {address} put back on eth0",
        )
        for address in wanted
        if address not in there
    ]


def _texts(seen: Seen) -> set[str]:
    return {text for route in seen.routes for text in route_texts(route)}


def _route(text: str, addresses: Sequence[str]) -> Mend:
    """A route of `declared`; one over eth0 as the kernel makes it with the address."""
    destination, *where = text.split()
    source: tuple[str, ...] = ()
    if where[0] == "dev":
        own = next(a for a in map(ip_interface, addresses) if str(a.network) == destination)
        source = ("proto", "kernel", *(("scope", "link", "src", str(own.ip)) if own.version == 4 else ()))
    family = "-6" if ":" in text else "-4"
    argv = ("ip", family, "route", "replace", destination, *where, *source)
    return Mend(argv, f"route {text} put back")


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
    out = run([*prefix, "ip", "-j", "address", "show"], timeout=SECONDS).out
    links = {link["ifname"]: link for link in json.loads(out or "[]") if "ifname" in link}
    routes = [
        route
        for family in ("-4", "-6")
        for route in json.loads(run([*prefix, "ip", "-j", family, "route"], timeout=SECONDS).out or "[]")
    ]
    sysctls = run([*prefix, "sysctl", "-e", *NODE_SYSCTLS], timeout=SECONDS).out
    return Seen(
        link=links.get("eth0"),
        routes=tuple(routes),
        sysctls=dict(line.split(" = ", 1) for line in sysctls.splitlines() if " = " in line),
        saved={tool: run([*prefix, f"{tool}-save"], timeout=SECONDS).out for tool in _SAVERS},
        loopback="UP" in links.get("lo", {"flags": ("UP",)})["flags"],
    )


def _run(argv: Sequence[str], node: str) -> None:
    outcome = run(argv, timeout=SECONDS)
    if outcome.code:
        raise LabError(f"its network can't be put back: {outcome.err}", where=node)
