"""The main Service's way through one node, told from the dump in the article's words: pure, best effort."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubewire.core.jsontext import read_json
from kubewire.dataplane.core.cluster import ServicePort, service_ports
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.dataplane.iptables.names import digest, seed

Lines = list[tuple[str, str]]
FAMILIES: tuple[IpFamily, ...] = ("ipv4", "ipv6")
_DUMPS: dict[IpFamily, tuple[str, str]] = {
    "ipv4": ("iptables-save.txt", "nft-ip.json"),
    "ipv6": ("ip6tables-save.txt", "nft-ip6.json"),
}
_PROBABILITY = re.compile(r"--probability ([\d.]+)")
_SYSTEM = ("default/kubernetes", "kube-system/")


def tell_story(snapshot: Snapshot) -> Lines:
    """(label, text) lines on the lab's main Service: its address, its chain and how that chooses."""
    cluster = snapshot.state
    lines: Lines = []
    for family in FAMILIES:
        port = _main_port(service_ports(cluster, family), str(snapshot.meta.get("service", "")))
        if port is None:
            continue
        node_port = f", node port {port.node_port}" if port.node_port else ""
        address = f"[{port.cluster_ip}]" if family == "ipv6" else port.cluster_ip
        lines.append(("Service", f"{port.name} {address}:{port.port}{node_port}"))
        lines += _chain(snapshot.nodes, port)
    return lines


def _main_port(ports: tuple[ServicePort, ...], wanted: str) -> ServicePort | None:
    named = next((port for port in ports if port.name == wanted), None)
    return named or next((port for port in ports if not port.name.startswith(_SYSTEM)), None)


def _chain(nodes: tuple[NodeSnapshot, ...], port: ServicePort) -> Lines:
    """From the last node, a worker where there is one."""
    files: Mapping[str, str] = nodes[-1].files if nodes else {}
    iptables, nft = _DUMPS[port.family]
    chain = f"KUBE-{'SVL' if port.internal_policy_local else 'SVC'}-{digest(seed(port))}"
    told = (
        _iptables(files.get(iptables, ""), chain)
        or _nftables(files.get(nft, ""), port)
        or _ipvs(files.get("ipset-save.txt", ""), files.get("ipvsadm-save.txt", ""), port.family)
    )
    return told or [("chain", "none on this node: no endpoint that it may use")]


def _ipvs(ipset: str, ipvsadm: str, family: IpFamily) -> Lines:
    if not ipset or not ipvsadm:
        return []
    from kubewire.verify.ipvs_story import tell_ipvs

    return tell_ipvs(ipset, ipvsadm, family)


def _iptables(dump: str, chain: str) -> Lines:
    if f"-A {chain} " not in dump:
        return []
    rules = [line for line in dump.splitlines() if f"-A {chain} " in line and "-j KUBE-SEP-" in line]
    if not rules:
        return []
    lines = [("chain", f"KUBE-SERVICES → {chain} → {len(rules)} KUBE-SEP-*")]
    found = [match[1].rstrip("0").rstrip(".") for rule in rules for match in _PROBABILITY.finditer(rule)]
    if found:
        lines.append(("probabilities", f"{', '.join(found)}, then the rest"))
    return lines


def _nftables(dump: str, port: ServicePort) -> Lines:
    if not dump:
        return []
    from kubewire.dataplane.nftables.names import service_base

    base = service_base(port)
    name = f"{'local' if port.internal_policy_local else 'service'}-{base}"
    rules = [rule for rule in _nft_rules(dump, name) if rule.get("chain") == name]
    sizes = [size for rule in rules for size in _modulus(rule.get("expr"))]
    if not rules:
        return []
    lines = [("chain", f"service-ips → {name}")]
    if sizes:
        lines.append(("choice", f"numgen random mod {sizes[0]}: each of {sizes[0]} endpoints alike"))
    return lines


def _nft_rules(dump: str, chain: str) -> list[dict[str, Any]]:
    """Those that may be the chain's."""
    from kubewire.dataplane.nftables.observed import ParseError, listed

    try:
        found = [read_json(text) for text in listed(dump, "") if text.startswith('{"rule"') and chain in text]
    except ParseError:
        return []
    return [entry["rule"] for entry in found if isinstance(entry["rule"], dict)]


def _modulus(expression: Any) -> list[int]:
    """Every `numgen random mod N` inside an nft expression."""
    if isinstance(expression, list):
        return [size for part in expression for size in _modulus(part)]
    if not isinstance(expression, dict):
        return []
    numgen = expression.get("numgen")
    own = [numgen["mod"]] if isinstance(numgen, dict) and "mod" in numgen else []
    return own + [size for part in expression.values() for size in _modulus(part)]
