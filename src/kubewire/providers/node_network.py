"""Putting back what a provider set up in a node's network namespace: links, addresses, routes, sysctls.

Both providers give their nodes one link eth0, and both look at a node by one command.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any

from kubewire.core.errors import LabError
from kubewire.core.processes import run
from kubewire.dataplane.core.findings import FAMILIES
from kubewire.dataplane.core.iproute import WRONG
from kubewire.dataplane.iptables.names import tool
from kubewire.dataplane.node_network import NodeNetwork, route_texts
from kubewire.providers import masquerade
from kubewire.providers.base import Change

SECONDS = 10.0
_POLICY = re.compile(r"^:(\S+) (DROP|QUEUE) ")
_SAVERS = tuple(map(tool, FAMILIES))
_LOOK = """
mark=$1; shift
for command in 'ip -j address show' 'ip -j -4 route' 'ip -j -6 route' "sysctl -e $*" SAVERS; do
  $command 2>/dev/null
  printf '\\n%s\\n' "$mark"
done
""".replace("SAVERS", " ".join(f"{saver}-save" for saver in _SAVERS))


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
    """One command on the node (`outside`: in the sandbox, at the bridge) with its standard input, and a
    description of its repair.
    """

    argv: tuple[str, ...]
    text: str = ""
    outside: bool = False
    data: bytes = b""


def look(prefix: Sequence[str], node: str, wanted: NodeNetwork) -> Seen:
    """What `mends` needs of that node, by one command; LabError where that isn't answered or understood."""
    mark = secrets.token_hex(16)
    argv = [*prefix, "sh", "-c", _LOOK, "kubewire", mark, *wanted.sysctls]
    outcome = run(argv, timeout=SECONDS)
    parts = outcome.out.split(f"\n{mark}\n")
    if outcome.code or len(parts) != 5 + len(_SAVERS):
        raise LabError(f"its network can't be read: {outcome.err or f'exit code {outcome.code}'}", where=node)
    try:
        addresses, *routes = (json.loads(part.strip() or "[]") for part in parts[:3])
        by_name = _by_name(addresses)
        return Seen(
            link=by_name.get("eth0"),
            routes=tuple(route for family in routes for route in family),
            sysctls=dict(line.split(" = ", 1) for line in parts[3].splitlines() if " = " in line),
            saved=dict(zip(_SAVERS, parts[4:], strict=False)),
            loopback="UP" in by_name.get("lo", {"flags": ("UP",)})["flags"],
        )
    except WRONG as error:
        raise LabError(f"its network is not understood: {error!r}", where=node) from error


def links(prefix: Sequence[str], where: str) -> dict[str, dict[str, Any]]:
    """The links by name, as `ip -j address` prints them; LabError as `look`."""
    outcome = run([*prefix, "ip", "-j", "address", "show"], timeout=SECONDS)
    try:
        return _by_name(json.loads(outcome.out))
    except WRONG as error:
        raise LabError(f"its links can't be read: {outcome.err or repr(error)}", where=where) from error


def _by_name(entries: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in entries if "ifname" in link}


def carry_out(
    calls: Sequence[Mend], prefix: Sequence[str], where: str, *, outside: Sequence[str] = (), check: bool
) -> list[Change]:
    """Run them, by `outside` those that are; with `check` none. LabError with what the command said."""
    for call in () if check else calls:
        argv = [*(outside if call.outside else prefix), *call.argv]
        outcome = run(argv, timeout=SECONDS, data=call.data)
        if outcome.code:
            raise LabError(f"its network can't be put back: {outcome.err}", where=where)
    return [Change(where, call.text) for call in calls if call.text]


def mends(wanted: NodeNetwork, seen: Seen, new_link: Sequence[Mend] = ()) -> list[Mend]:
    """The calls, in order, that restore links, addresses, routes and sysctls, and the chains' policies.
    `new_link` makes a deleted eth0.
    """
    calls = [
        Mend(("sysctl", "-q", "-w", f"{key}={value}"), f"{key} set back to {value}")
        for key, value in wanted.sysctls.items()
        if seen.sysctls.get(key, value) != value
    ]
    if not seen.loopback:
        calls.append(Mend(("ip", "link", "set", "lo", "up"), "link lo set up again"))
    calls += [] if seen.link else new_link
    if not seen.link or "UP" not in seen.link["flags"]:
        text = "link eth0 set up again" if seen.link else ""
        calls.append(Mend(("ip", "link", "set", "eth0", "up"), text))
    own = wanted.addresses.get("eth0", ())
    there = {text for route in seen.routes for text in route_texts(route)}
    calls += _addresses(own, seen)
    return calls + [_route(text, own) for text in wanted.routes if text not in there] + _policies(seen)


def masquerade_mends(wanted: NodeNetwork, seen: Seen) -> list[Mend]:
    """The calls that restore the declared chains of the table nat and the jumps to them."""
    calls = []
    for chain in wanted.masquerade:
        name = tool(chain.family)
        text, mended = masquerade.restore_input(chain, seen.saved.get(name, ""))
        if text:
            argv = (f"{name}-restore", "--wait", "5", "--noflush")
            calls.append(Mend(argv, f"{name}: {'; '.join(mended)}", data=text.encode()))
    return calls


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


def _route(text: str, addresses: Sequence[str]) -> Mend:
    """A declared route; one over eth0 as the kernel makes it with the address."""
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
    for name, saved in seen.saved.items():
        table = ""
        for line in saved.splitlines():
            table = line[1:] if line.startswith("*") else table
            if found := _POLICY.match(line):
                text = f"{name} {table} {found[1]}: policy {found[2]} set back to ACCEPT"
                calls.append(Mend((name, "-w", "-t", table, "-P", found[1], "ACCEPT"), text))
    return calls
