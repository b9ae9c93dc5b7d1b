"""The nftables dataplane that kube-proxy must have programmed for one family of one node.

Source: pkg/proxy/nftables/proxier.go, syncProxyRules, of v1.29.6 to v1.37.2; KEP-3866.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from kubewire.dataplane.core.cluster import ClusterState, service_ports
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.endpoints import endpoints_of
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.localhost import on_localhost
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.objects import family_of
from kubewire.dataplane.nftables.builder import Builder, NftFeatures
from kubewire.dataplane.nftables.fixed import add_fixed
from kubewire.dataplane.nftables.names import service_base
from kubewire.dataplane.nftables.service import ServiceObjects


def expected_nftables(
    cluster: ClusterState, config: ProxyConfig, facts: NodeFacts, version: Version, family: IpFamily
) -> Dataplane:
    """The whole table of one family; pure, independent of what was observed."""
    generation = NftFeatures.of(version)
    detector = config.detector(family, facts.node)
    builder = Builder(family, has(version, "nft-object-comments"))
    add_fixed(
        builder,
        config,
        generation,
        detector,
        node_port_ips=_node_port_ips(config, facts, version, family),
        service_cidrs=_service_cidrs(cluster, version, family),
        rejected_on_localhost=_rejected_on_localhost(config, facts, version, family),
        drop_invalid=not facts.tcp_be_liberal,
    )
    node_ip = facts.node_ip(family, config)
    for port in service_ports(cluster, family, version):
        endpoints = endpoints_of(cluster, port, facts.node, version)
        base = service_base(port)
        ServiceObjects(builder, config, generation, detector, port, endpoints, node_ip, base).add()
    return builder.dataplane()


def _node_port_ips(
    config: ProxyConfig, facts: NodeFacts, version: Version, family: IpFamily
) -> tuple[str, ...] | None:
    cidrs = config.node_port_cidrs(family, facts.node, version)
    if any(ip_network(cidr).prefixlen == 0 for cidr in cidrs):
        return None
    return tuple(ip for ip in facts.node_port_ips(cidrs, family) if not ip_address(ip).is_loopback)


def _rejected_on_localhost(
    config: ProxyConfig, facts: NodeFacts, version: Version, family: IpFamily
) -> tuple[str, ...]:
    """Protocols whose NodePorts are refused on localhost."""
    handled = {
        p: on_localhost(config, facts.node, version, family, p.upper()) for p in ("tcp", "udp", "sctp")
    }
    return tuple(protocol for protocol, how in handled.items() if how == "refused")


def _service_cidrs(cluster: ClusterState, version: Version, family: IpFamily) -> tuple[str, ...]:
    known = has(version, "service-cidrs")
    return tuple(cidr for cidr in cluster.service_cidrs if known and family_of(cidr) == family)
