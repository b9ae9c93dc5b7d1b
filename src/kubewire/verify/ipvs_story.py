"""A node in mode ipvs as the article shows it: the set of cluster IPs, the virtual servers. Pure."""

from __future__ import annotations

from ipaddress import ip_address

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import VirtualServer
from kubewire.dataplane.ipvs.ipset import parse_ipset_save
from kubewire.dataplane.ipvs.ipvsadm import parse_ipvsadm_save
from kubewire.dataplane.ipvs.names import CLUSTER_IP, set_name

Lines = list[tuple[str, str]]
SHOWN = 8
_FORWARDING = {"-m": "Masq", "-g": "Route", "-i": "Tunnel"}


def tell_ipvs(ipset: str, ipvsadm: str, family: IpFamily) -> Lines:
    """(label, text) lines: what `ipset list` and `ipvsadm -L -n` say of this family; none without both."""
    name = set_name(CLUSTER_IP, family)
    found = next((item for item in parse_ipset_save(ipset).sets if item.name == name), None)
    servers = [s for s in parse_ipvsadm_save(ipvsadm).servers if s.family == family and s.address]
    if found is None or not servers:
        return []
    members = sorted((element.key for element in found.elements), key=_by_address)
    lines = _labelled(f"ipset {name}", members)
    shown = [line for server in sorted(servers, key=_order)[:SHOWN] for line in _server(server)]
    if len(servers) > SHOWN:
        shown.append(f"and {len(servers) - SHOWN} more virtual servers")
    return [*lines, *_labelled("ipvsadm -L -n", shown, limit=len(shown))]


def _labelled(label: str, texts: list[str], limit: int = SHOWN) -> Lines:
    more = [f"and {len(texts) - limit} more"] if len(texts) > limit else []
    return [("" if index else label, text) for index, text in enumerate([*texts[:limit], *more])]


def _server(server: VirtualServer) -> list[str]:
    persistent = "" if server.persistent_seconds is None else f" persistent {server.persistent_seconds}"
    flags = "".join(f" {flag}" for flag in server.flags)
    head = f"{server.protocol.upper()}  {_place(server.address, server.port)} {server.scheduler}"
    reals = [
        f"  -> {_place(real.address, real.port)}  {_FORWARDING.get(real.method, real.method)}  {real.weight}"
        for real in server.servers
    ]
    return [f"{head}{persistent}{flags}", *reals]


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _order(server: VirtualServer) -> tuple[str, int, int]:
    return server.protocol, int(ip_address(server.address)), server.port


def _by_address(member: str) -> tuple[int, str]:
    try:
        return int(ip_address(member.partition(",")[0])), member
    except ValueError:
        return 0, member
