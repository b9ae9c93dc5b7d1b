"""The parts of kube-proxy's nftables table that don't depend on Services: base chains, jumps, sets, lookups.

Source: pkg/proxy/nftables/proxier.go, setupNFTables, of v1.29.6 to v1.37.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubewire.dataplane.core.config import LocalDetector, ProxyConfig
from kubewire.dataplane.core.model import Origin
from kubewire.dataplane.nftables.builder import Builder, NftFeatures, fixed
from kubewire.dataplane.nftables.layout import add_base_chains
from kubewire.dataplane.nftables.names import (
    LOCALHOST_COUNTER_PREFIX,
    LOCALHOST_REJECT_PREFIX,
    LOCALHOST_REJECTS,
    address_set,
    local_match,
)


def add_fixed(
    b: Builder,
    config: ProxyConfig,
    generation: NftFeatures,
    detector: LocalDetector,
    *,
    node_port_ips: Sequence[str] | None,
    service_cidrs: Sequence[str],
    rejected_on_localhost: Sequence[str],
    drop_invalid: bool,
) -> None:
    """Add all fixed objects.

    `node_port_ips` None: every local address accepts NodePorts. `rejected_on_localhost`: the protocols whose
    NodePorts are refused on localhost.
    """
    add_base_chains(b, generation)
    _add_node_ports(b, node_port_ips)
    _add_dispatch(b, config, generation, detector, all_local=node_port_ips is None)
    _add_no_endpoints(b, generation, all_local=node_port_ips is None)
    _add_localhost_rejects(b, rejected_on_localhost)
    _add_masquerading(b, config.mark, generation)
    if generation.cluster_ips:
        _add_cluster_ips(b, service_cidrs)
        _add_firewall(b)
    else:
        _add_oldest_firewall(b)
        origin = fixed("nftables.forward", "packets in no known connection must not break others")
        b.chain("forward", origin)
        if drop_invalid:
            b.rule("forward", "ct state invalid drop", origin)


def _add_node_ports(b: Builder, node_port_ips: Sequence[str] | None) -> None:
    if node_port_ips is None:
        return
    origin = fixed(
        "nftables.nodeports", "nodePortAddresses choose the node's addresses that accept NodePorts"
    )
    b.set("nodeport-ips", b.words.address_type, origin, comment="IPs that accept NodePort traffic")
    for ip in node_port_ips:
        b.element("nodeport-ips", ip, origin)


def _node_port_lookup(b: Builder, name: str, match: str) -> str:
    """A lookup by NodePort of what `match` (or else the set of addresses) lets through."""
    return f"{match or f'{b.words.ip} daddr @nodeport-ips'} meta l4proto . th dport vmap @{name}"


def _service_lookup(b: Builder, name: str) -> str:
    return f"{b.words.ip} daddr . meta l4proto . th dport vmap @{name}"


def _verdict_map(b: Builder, name: str, check: str, comment: str, *, by_address: bool) -> None:
    key = f"{b.words.address_type} . inet_proto . inet_service" if by_address else "inet_proto . inet_service"
    b.set(name, key, fixed(check, comment), comment=comment, verdicts=True)


def _add_dispatch(
    b: Builder, config: ProxyConfig, generation: NftFeatures, detector: LocalDetector, *, all_local: bool
) -> None:
    ip, mark = b.words.ip, f"meta mark set meta mark | 0x{config.mark:08x}"
    if generation.dnat_map:
        origin = fixed(
            "nftables.service.masquerade", "replies to clients outside the pods must come back here"
        )
        if config.masquerade_all:
            text, comment = f"{ip} daddr @cluster-ips {mark}", "masquerade all clusterIP traffic"
            b.rule("services", text, origin, comment=comment)
        elif detector.implemented:
            outside = local_match(detector, ip, generation.interface_word, negated=True)
            comment = "masquerade clusterIP traffic from outside cluster"
            b.rule("services", f"{ip} daddr @cluster-ips {outside} {mark}", origin, comment=comment)
    dispatch = fixed("nftables.services.dispatch", "a packet to a service address must find its chain")
    _verdict_map(
        b,
        "service-ips",
        dispatch.check,
        "ClusterIP, ExternalIP and LoadBalancer IP traffic",
        by_address=True,
    )
    b.rule("services", _service_lookup(b, "service-ips"), dispatch)
    _verdict_map(b, "service-nodeports", "nftables.nodeports", "NodePort traffic", by_address=False)
    match = f"fib daddr type local {b.words.not_localhost}" if all_local else ""
    origin = fixed("nftables.nodeports", "a packet to a NodePort must find its Service's chain")
    b.rule("services", _node_port_lookup(b, "service-nodeports", match), origin)


def _add_no_endpoints(b: Builder, generation: NftFeatures, *, all_local: bool) -> None:
    check = "nftables.no-endpoints"
    origin = fixed(check, "a Service without usable endpoints is refused or dropped at once")
    for name, what, by_address in (
        ("no-endpoint-services", "services", True),
        ("no-endpoint-nodeports", "service nodeports", False),
    ):
        comment = f"vmap to drop or reject packets to {what} with no endpoints"
        _verdict_map(b, name, check, comment, by_address=by_address)
    b.chain("reject-chain", origin, comment="helper for @no-endpoint-services / @no-endpoint-nodeports")
    b.rule("reject-chain", "reject", origin)
    match = b.words.not_localhost if all_local else ""
    if not generation.cluster_ips and match:
        match = f"fib daddr type local {match}"
    services, node_ports = (
        ("service-endpoints-check", "nodeport-endpoints-check")
        if generation.cluster_ips
        else ("endpoints-check", "endpoints-check")
    )
    b.rule(services, _service_lookup(b, "no-endpoint-services"), origin)
    b.rule(node_ports, _node_port_lookup(b, "no-endpoint-nodeports", match), origin)


def _add_localhost_rejects(b: Builder, protocols: Sequence[str]) -> None:
    if not protocols:
        return
    why, source = "a NodePort can't be reached on localhost", "pkg/proxy/nftables/proxier.go, KEP-6032"
    origin = Origin("", why, source, "nftables.nodeports")
    comment = "localhost NodePorts rejected by kube-proxy"
    _verdict_map(b, LOCALHOST_REJECTS, origin.check, comment, by_address=False)
    for protocol in protocols:
        counter, chain = LOCALHOST_COUNTER_PREFIX + protocol, LOCALHOST_REJECT_PREFIX + protocol
        b.counter(counter, origin)
        b.chain(chain, origin)
        b.rule(chain, f'counter name "{counter}" reject', origin)
    text = f"{b.words.localhost} meta l4proto . th dport vmap @{LOCALHOST_REJECTS}"
    b.rule("nodeport-endpoints-check", text, origin)


def _add_masquerading(b: Builder, mark: int, generation: NftFeatures) -> None:
    origin = fixed("nftables.masquerading", "marked packets leave with the node's address")
    bit, ip = f"0x{mark:08x}", b.words.ip
    if not generation.dnat_map:
        b.chain("mark-for-masquerade", origin)
        b.rule("mark-for-masquerade", f"meta mark set meta mark | {bit}", origin)
        b.rule("masquerading", f"{_marked(mark, '==')} return", origin)
        b.rule("masquerading", f"meta mark set meta mark ^ {bit}", origin)
        b.rule("masquerading", "masquerade fully-random", origin)
        return
    text = f"{_marked(mark, '!=')} meta mark set meta mark ^ {bit} masquerade fully-random"
    b.rule("masquerading", text, origin)
    hairpin = fixed(
        "nftables.hairpin", "a pod that reaches itself through a Service needs its reply to come back"
    )
    key = f"{b.words.address_type} . {b.words.address_type} . inet_proto . inet_service"
    b.set("hairpin-connections", key, hairpin, comment="service hairpin connections")
    lookup = f"{ip} saddr . {ip} daddr . meta l4proto . th dport @hairpin-connections"
    b.rule("masquerading", f"ct status dnat {lookup} masquerade fully-random", hairpin)


def _add_cluster_ips(b: Builder, service_cidrs: Sequence[str]) -> None:
    ip, check = b.words.ip, "nftables.cluster-ips"
    b.set(
        "cluster-ips",
        b.words.address_type,
        fixed(check, "kube-proxy knows every cluster IP in use"),
        comment="Active ClusterIPs",
    )
    b.rule(
        "cluster-ips-check",
        f"{ip} daddr @cluster-ips reject",
        fixed(check, "a port that the Service doesn't have is refused"),
        comment="Reject traffic to invalid ports of ClusterIPs",
    )
    if service_cidrs:
        text, *others = (f"{ip} daddr {form} drop" for form in address_set(service_cidrs))
        b.rule(
            "cluster-ips-check",
            text,
            fixed(check, "a cluster IP that no Service has is dropped (ServiceCIDR objects)"),
            comment="Drop traffic to unallocated ClusterIPs",
            alternatives=others,
        )


_FIREWALL_COMMENT = "destinations that are subject to LoadBalancerSourceRanges"


def _add_firewall(b: Builder) -> None:
    check = "nftables.service.firewall"
    _verdict_map(b, "firewall-ips", check, _FIREWALL_COMMENT, by_address=True)
    origin = fixed(check, "load balancer source ranges are looked up before DNAT")
    b.rule("firewall-check", _service_lookup(b, "firewall-ips"), origin)


def _add_oldest_firewall(b: Builder) -> None:
    ip, kind = b.words.ip, b.words.address_type
    origin = fixed("nftables.service.firewall", "load balancer source ranges let only their sources pass")
    key = f"{kind} . inet_proto . inet_service"
    lookup = f"{ip} daddr . meta l4proto . th dport"
    b.set("firewall", key, origin, comment=_FIREWALL_COMMENT)
    b.set(
        "firewall-allow",
        f"{key} . {kind}",
        origin,
        comment="destinations+sources that are allowed by LoadBalancerSourceRanges",
        options=("flags interval",),
    )
    b.chain("firewall-allow-check", origin)
    b.rule("firewall-check", f"{lookup} @firewall jump firewall-allow-check", origin)
    b.rule("firewall-allow-check", f"{lookup} . {ip} saddr @firewall-allow return", origin)
    b.rule("firewall-allow-check", "drop", origin)


def _marked(mark: int, operator: str) -> str:
    """Whether the mark is unset (==) or set (!=); the highest bit alone is a prefix to nft, printed so."""
    if mark == 1 << 31:
        return f"meta mark {'!= ' if operator == '!=' else ''}0x00000000/1"
    return f"meta mark & 0x{mark:08x} {operator} 0x00000000"
