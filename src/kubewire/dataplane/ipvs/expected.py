"""What kube-proxy in ipvs mode must have written on a node, in one address family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network

from kubewire.dataplane.core.cluster import ClusterState, service_ports
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.endpoints import categorize, endpoints_for
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import (
    Dataplane,
    Element,
    Link,
    Origin,
    RealServer,
    Set,
    Sysctl,
    Table,
    VirtualServer,
)
from kubewire.dataplane.ipvs import names
from kubewire.dataplane.ipvs.rules import Fixed, ipvs_chains
from kubewire.dataplane.ipvs.service import (
    SOURCE,
    NodeAddress,
    NodeContext,
    Programmed,
    bound_addresses,
    program_service,
)


def expected_ipvs(
    cluster: ClusterState, config: ProxyConfig, facts: NodeFacts, version: Version, family: IpFamily
) -> Dataplane:
    """Chains of nat and filter, all 17 ipsets, virtual and real servers, kube-ipvs0, sysctls (with ipv4).

    Two virtual servers of one address, port and protocol (two Services with one external IP) are
    alternatives: the Service that kube-proxy happens to sync last has it. `facts.addresses` must hold the
    node's addresses; without them only the Node object's are known.
    Source: pkg/proxy/ipvs/proxier.go of Kubernetes 1.29 to 1.37, the same in all of them but for one rule.
    """
    ports = service_ports(cluster, family, version)
    local = _local_addresses(facts, family)
    bound = {ip for port in ports for ip in bound_addresses(port, local)}
    around = NodeContext(
        family=family,
        scheduler=config.ipvs_scheduler,
        local=local,
        node_port_ips=_node_port_ips(config, facts, version, family, bound),
        node_ip=facts.node_ip(family, config),
    )
    plans: list[Programmed] = []
    for port in ports:
        cached = endpoints_for(cluster, port, facts.name, version)
        plans.append(program_service(port, cached, categorize(cached, port, facts.node, version), around))
    addresses = _once(element for plan in plans for element in plan.bound)
    members: dict[str, list[Element]] = {name: [] for name in names.SETS}
    filled = {member.set for plan in plans for member in plan.members}
    for plan in plans:
        for member in plan.members:
            if member.element is not None:
                members[member.set].append(member.element)
    members[names.IPVS_IPS] = addresses
    fixed = Fixed(
        family=family,
        facts=facts,
        mark=config.mark,
        masquerade_all=config.masquerade_all,
        detector=config.detector(family, facts.node),
        filled=filled,
        blocked=[entry for plan in plans for entry in plan.blocked],
        external_local_passes=has(version, "ipvs-external-ip-local-filter"),
    )
    return Dataplane(
        tables=tuple(Table(family, name) for name in names.CHAINS),
        chains=tuple(ipvs_chains(fixed)),
        sets=_sets(members, family),
        servers=_servers(plans),
        links=(_interface(addresses, family),),
        sysctls=_sysctls(config) if family == "ipv4" else (),
    )


def _addresses(facts: NodeFacts, family: IpFamily) -> list[str]:
    """The node's own addresses of a family on all interfaces but kube-ipvs0, sorted, each once."""
    own = {ip for name, ips in facts.addresses.items() if name != names.INTERFACE for ip in ips}
    found = {ip_address(ip) for ip in own or facts.node.internal_ips}
    return [str(ip) for ip in sorted(found, key=int) if f"ipv{ip.version}" == family]


def _local_addresses(facts: NodeFacts, family: IpFamily) -> frozenset[str]:
    """Without loopback and IPv6 link-local ones, as pkg/proxy/ipvs/netlink_linux.go (isValidForSet)."""
    found = {ip: ip_address(ip) for ip in _addresses(facts, family)}
    return frozenset(
        text
        for text, ip in found.items()
        if not ip.is_loopback and not (ip.version == 6 and ip.is_link_local)
    )


def _node_port_ips(
    config: ProxyConfig, facts: NodeFacts, version: Version, family: IpFamily, bound: Iterable[str]
) -> tuple[NodeAddress, ...]:
    """Where node ports are open: every local address, or those that nodePortAddresses select.

    A selection includes kube-ipvs0 (GetNodeIPs) as it was before the sync: those addresses are uncertain.
    """
    cidrs = config.node_port_cidrs(family, facts.node, version)
    if any(cidr.endswith("/0") for cidr in cidrs):
        return tuple(map(NodeAddress, sorted(_local_addresses(facts, family))))
    networks = [ip_network(cidr) for cidr in cidrs]
    own = _addresses(facts, family)
    selected = {
        ip: ip in own
        for ip in (*own, *sorted(bound))
        if not ip_address(ip).is_loopback and any(ip_address(ip) in network for network in networks)
    }
    return tuple(NodeAddress(ip, sure) for ip, sure in selected.items())


def _once(elements: Iterable[Element]) -> list[Element]:
    """Elements by their key, the first of each; certain ones before uncertain ones."""
    found: dict[str, Element] = {}
    for element in elements:
        if element.key not in found or (found[element.key].optional and not element.optional):
            found[element.key] = element
    return list(found.values())


def _sets(members: Mapping[str, list[Element]], family: IpFamily) -> tuple[Set, ...]:
    origin = Origin("", "kube-proxy keeps it, with or without members", SOURCE, "ipvs.set")
    inet = "family inet6" if family == "ipv6" else "family inet"
    return tuple(
        Set(
            family=family,
            table="",
            name=names.set_name(name, family),
            key_type=kind.type,
            elements=tuple(_once(members[name])),
            options=("range 0-65535",)
            if kind.type == "bitmap:port"
            else (inet, "hashsize 1024", "maxelem 65536"),
            origin=origin,
        )
        for name, kind in names.SETS.items()
    )


def _servers(plans: Iterable[Programmed]) -> tuple[VirtualServer, ...]:
    """Each virtual server once; several of one address only where they differ."""
    found: dict[tuple[object, ...], VirtualServer] = {}
    for plan in plans:
        for server in plan.servers:
            reals: frozenset[RealServer] = frozenset(
                RealServer(real.address, real.port) for real in server.servers
            )
            key = (server.protocol, server.address, server.port, server.persistent_seconds, reals)
            if key not in found or (found[key].optional and not server.optional):
                found[key] = server
    return tuple(found.values())


def _interface(addresses: Iterable[Element], family: IpFamily) -> Link:
    why = "the dummy interface that makes service addresses local, so that ipvs sees their packets"
    length = 128 if family == "ipv6" else 32
    return Link(
        family=family,
        name=names.INTERFACE,
        addresses=tuple(Element(f"{element.key}/{length}", origin=element.origin) for element in addresses),
        up=False,
        origin=Origin("", why, SOURCE, "ipvs.interface"),
    )


def _sysctls(config: ProxyConfig) -> tuple[Sysctl, ...]:
    wanted = [
        ("net.ipv4.vs.conntrack", "1", "iptables can only masquerade what conntrack follows through ipvs"),
        ("net.ipv4.vs.expire_nodest_conn", "1", "connections to an endpoint that is gone end at once"),
        ("net.ipv4.vs.expire_quiescent_template", "1", "affinity must not keep clients on a weight of 0"),
        ("net.ipv4.ip_forward", "1", "the node forwards service traffic to pods"),
    ]
    if config.ipvs_strict_arp:
        why = "strictARP: service addresses on kube-ipvs0 are not announced to others"
        wanted += [
            ("net.ipv4.conf.all.arp_ignore", "1", why),
            ("net.ipv4.conf.all.arp_announce", "2", why),
        ]
    return tuple(Sysctl(name, value, Origin("", why, SOURCE, "ipvs.sysctl")) for name, value, why in wanted)
