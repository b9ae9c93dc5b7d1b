"""The main Service's observed path through one node, for the text report: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from itertools import pairwise

from kubewire.dataplane.core.cluster import ServicePort, service_ports
from kubewire.dataplane.core.findings import FAMILIES, IpFamily
from kubewire.dataplane.core.model import Dataplane, Rule, VirtualServer
from kubewire.dataplane.core.objects import with_port
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.iptables.names import digest, seed
from kubewire.dataplane.iptables.spec import parse_rule
from kubewire.dataplane.ipvs.names import CLUSTER_IP, set_name
from kubewire.dataplane.nftables.names import TABLE, service_base
from kubewire.dataplane.nftables.words import words

Lines = list[tuple[str, str]]
SHOWN = 8
_SYSTEM = ("default/kubernetes", "kube-system/")
_METHODS = {"-m": "Masq", "-g": "Route", "-i": "Tunnel"}


def tell_story(snapshot: Snapshot, observed: Mapping[IpFamily, Dataplane]) -> Lines:
    """(label, text) lines on the lab's main Service: its address, its chain and how that chooses.

    `observed` is a worker's dataplane, where there is one.
    """
    lines: Lines = []
    for family in FAMILIES:
        port = _main_port(service_ports(snapshot.state, family), str(snapshot.meta.get("service", "")))
        if port is None:
            continue
        node_port = f", node port {port.node_port}" if port.node_port else ""
        lines.append(("Service", f"{port.name} {with_port(port.cluster_ip, port.port)}{node_port}"))
        if family in observed:
            none = [("chain", "none on this node: no endpoint that it may use")]
            lines += _way(observed[family], port) or none
    return lines


def _main_port(ports: tuple[ServicePort, ...], wanted: str) -> ServicePort | None:
    named = next((port for port in ports if port.name == wanted), None)
    return named or next((port for port in ports if not port.name.startswith(_SYSTEM)), None)


def _way(observed: Dataplane, port: ServicePort) -> Lines:
    if observed.servers:
        return _ipvs(observed, port.family)
    local = port.internal_policy_local
    if any(table.name == TABLE for table in observed.tables):
        return _nftables(observed, f"{'local' if local else 'service'}-{service_base(port)}")
    return _iptables(observed, f"KUBE-{'SVL' if local else 'SVC'}-{digest(seed(port))}")


def _rules(observed: Dataplane, name: str) -> list[Rule]:
    return [rule for chain in observed.chains if chain.name == name for rule in chain.rules()]


def _iptables(observed: Dataplane, name: str) -> Lines:
    rules = [parse_rule(rule.text) for rule in _rules(observed, name)]
    choices = [rule for rule in rules if rule.target.startswith("KUBE-SEP-")]
    if not choices:
        return []
    lines = [("chain", f"KUBE-SERVICES → {name} → {len(choices)} KUBE-SEP-*")]
    chances = [chance.value for rule in choices if (chance := rule.match("--probability"))]
    if chances:
        texts = [chance.rstrip("0").rstrip(".") for chance in chances]
        lines.append(("probabilities", f"{', '.join(texts)}, then the rest"))
    return lines


def _nftables(observed: Dataplane, name: str) -> Lines:
    rules = _rules(observed, name)
    if not rules:
        return []
    sizes = [size for rule in rules for word, size in pairwise(words(rule.text)) if word == "mod"]
    choice = [("choice", f"numgen random mod {size}: each of {size} endpoints alike") for size in sizes[:1]]
    return [("chain", f"service-ips → {name}"), *choice]


def _ipvs(observed: Dataplane, family: IpFamily) -> Lines:
    """The output of `ipset list` and `ipvsadm -L -n`; nothing without both."""
    name = set_name(CLUSTER_IP, family)
    found = next((item for item in observed.sets if item.name == name), None)
    servers = [server for server in observed.servers if server.address]
    if found is None or not servers:
        return []
    members = sorted((element.key for element in found.elements), key=_by_address)
    more = [f"and {len(members) - SHOWN} more"] if len(members) > SHOWN else []
    lines = _labelled(f"ipset {name}", [*members[:SHOWN], *more])
    shown = [line for server in sorted(servers, key=_order)[:SHOWN] for line in _server(server)]
    if len(servers) > SHOWN:
        shown.append(f"and {len(servers) - SHOWN} more virtual servers")
    return [*lines, *_labelled("ipvsadm -L -n", shown)]


def _labelled(label: str, texts: Sequence[str]) -> Lines:
    return [("" if index else label, text) for index, text in enumerate(texts)]


def _server(server: VirtualServer) -> list[str]:
    persistent = "" if server.persistent_seconds is None else f" persistent {server.persistent_seconds}"
    flags = "".join(f" {flag}" for flag in server.flags)
    head = f"{server.protocol.upper()}  {with_port(server.address, server.port)} {server.scheduler}"
    reals = [
        f"  -> {with_port(real.address, real.port)}  {_METHODS.get(real.method, real.method)}  {real.weight}"
        for real in server.servers
    ]
    return [f"{head}{persistent}{flags}", *reals]


def _order(server: VirtualServer) -> tuple[str, int, int]:
    return server.protocol, int(ip_address(server.address)), server.port


def _by_address(member: str) -> tuple[int, str]:
    try:
        return int(ip_address(member.partition(",")[0])), member
    except ValueError:
        return 0, member
