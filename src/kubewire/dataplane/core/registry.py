"""Every kind of check: its id, a one-line title and the modes that have it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Mode = Literal["iptables", "ipvs", "nftables"]


class Kind(Struct, frozen=True, gc=False):
    """`plain`: each line that a failed one observed is a sentence that needs no other word."""

    title: str
    modes: tuple[Mode, ...]
    plain: bool = False


_ALL: tuple[Mode, ...] = ("iptables", "ipvs", "nftables")
_IPT: tuple[Mode, ...] = ("iptables",)
_NFT: tuple[Mode, ...] = ("nftables",)
_IPVS: tuple[Mode, ...] = ("ipvs",)

KINDS: dict[str, Kind] = {
    "dump.present": Kind("A dump that the mode needs is there, whole and understood", _ALL),
    "kube-proxy.syncs": Kind("kube-proxy runs, and what it was told is on the node", _ALL, plain=True),
    "kube-proxy.configuration": Kind("kube-proxy's version can sync with its configuration", _NFT),
    "kernel.sysctl": Kind("Kernel settings without which the right rules don't work", _ALL),
    "conntrack.full": Kind("The kernel's table of connections has room for new ones", _ALL),
    "conntrack.stale": Kind("No client is bound to an endpoint that is gone (UDP and SCTP)", _ALL),
    "localhost.listener": Kind("kube-proxy's own socket serves a node port on localhost", _NFT, plain=True),
    "dataplane.written": Kind("No table, chain, set or map is lost or empty as a whole", _ALL, plain=True),
    "service.present": Kind("Every Service that the API knows is programmed", _ALL, plain=True),
    "service.endpoints": Kind("Traffic goes to each ready endpoint and to no other", _ALL, plain=True),
    "dataplane.agreement": Kind("Nodes with the same duty carry the same service chains", _ALL, plain=True),
    "route.pod-cidr": Kind("Every other node's pod CIDR is routed by way of that node", _ALL),
    "route.pod": Kind("Each local pod has a host route on its veth", _ALL),
    "node.network": Kind("The snapshot tells what the lab's provider set up on the node", _ALL),
    "node.link": Kind("The links that the provider set up are up", _ALL, plain=True),
    "node.address": Kind("The node and the gateways of its pods have their addresses", _ALL),
    "node.route": Kind("The routes to the nodes' network and out of it are there", _ALL),
    "node.sysctl": Kind("The sysctls that the provider wrote have kept their values", _ALL),
    "node.masquerade": Kind("What pods send out of the cluster is masqueraded, as kindnet does", _ALL),
    "node.host-port": Kind("Pods' host ports lead to them, as the CNI plugin portmap does", _ALL),
    "traffic.service": Kind("The lab's Service is there", _ALL),
    "traffic.clusterip": Kind("Every request to the cluster IP is answered by a ready replica", _ALL),
    "traffic.spread": Kind("Requests spread over all ready replicas", _ALL),
    "traffic.affinity": Kind(
        "With ClientIP affinity or a hashing scheduler a client stays with one replica", _ALL
    ),
    "traffic.ipvs-stats": Kind("The kernel's count of connections agrees with the requests sent", _ALL),
    "traffic.source.pod": Kind("A pod's requests keep the pod's address", _ALL),
    "traffic.source.node": Kind("A node's requests arrive from an address of that node", _ALL),
    "traffic.source.nodeport": Kind(
        "A node port's requests arrive from the node, or from the client where local", _ALL
    ),
    "traffic.hairpin": Kind("A pod that reaches itself is masqueraded", _ALL),
    "traffic.nodeport": Kind("Every request to a node port is answered by a ready replica", _ALL),
    "traffic.localhost": Kind(
        "A node port on localhost is served or refused as kube-proxy's mode has it", _ALL
    ),
    "traffic.no-endpoints": Kind("A Service without endpoints is refused at once", _ALL),
    "traffic.local-only": Kind("A Local policy drops what no replica on the node can answer", _ALL),
    "nftables.table": Kind("A family's whole table holds exactly what kube-proxy must have written", _NFT),
    "nftables.base-chain": Kind("Base chains sit at the right hook and priority", _NFT),
    "nftables.jump": Kind("Base chains jump to kube-proxy's checks, services and masquerading", _NFT),
    "nftables.chain": Kind("kube-proxy's fixed chains exist", _NFT),
    "nftables.set": Kind("Sets and maps have the right key, value, flags and timeout", _NFT),
    "nftables.extra": Kind("Nothing in kube-proxy's table beyond what it writes", _NFT),
    "nftables.order": Kind("Rules stand in the order that the kernel needs", _NFT),
    "nftables.services.dispatch": Kind("service-ips sends each service address to its chain", _NFT),
    "nftables.nodeports": Kind("service-nodeports sends each node port to its Service", _NFT),
    "nftables.cluster-ips": Kind("Unknown cluster IPs and ports are refused", _NFT),
    "nftables.no-endpoints": Kind("A Service without usable endpoints is refused or dropped", _NFT),
    "nftables.service.balancing": Kind("A service chain spreads evenly over its ready endpoints", _NFT),
    "nftables.service.masquerade": Kind("Cluster IP traffic from outside the pods is marked for SNAT", _NFT),
    "nftables.service.external": Kind("External traffic reaches the endpoints as its policy says", _NFT),
    "nftables.service.firewall": Kind("Load balancer source ranges are enforced", _NFT),
    "nftables.affinity": Kind("Session affinity: a client is kept on its endpoint", _NFT),
    "nftables.endpoint.dnat": Kind("DNAT targets are exactly the ready endpoints", _NFT),
    "nftables.hairpin": Kind("A pod that reaches itself is masqueraded", _NFT),
    "nftables.masquerading": Kind("What is marked leaves with the node's address", _NFT),
    "nftables.forward": Kind("Packets of no known connection are dropped, as 1.29 does", _NFT),
    "iptables.table": Kind("A whole table holds exactly what kube-proxy must have written", _IPT),
    "iptables.chain": Kind("kube-proxy's fixed chains exist", _IPT),
    "iptables.jump": Kind("Built-in chains jump to kube-proxy's chains, exactly once each", _IPT),
    "iptables.stray": Kind("No foreign rule ends or diverts a packet on its way to a Service", _ALL),
    "nftables.stray": Kind("No other nft table ends or diverts a packet on its way to a Service", _ALL),
    "iptables.extra": Kind("Nothing in kube-proxy's chains beyond what it writes", _IPT),
    "iptables.order": Kind("Rules stand in the order that the kernel needs", _IPT),
    "iptables.services.dispatch": Kind("KUBE-SERVICES sends each service address to its chain", _IPT),
    "iptables.services.nodeports": Kind("KUBE-SERVICES ends with the way to KUBE-NODEPORTS", _IPT),
    "iptables.service.masquerade": Kind("Cluster IP traffic from outside the pods is marked for SNAT", _IPT),
    "iptables.service.probability": Kind("A service chain spreads over its endpoints evenly", _IPT),
    "iptables.service.external": Kind("External traffic reaches the endpoints as its policy says", _IPT),
    "iptables.service.firewall": Kind("Load balancer source ranges are enforced", _IPT),
    "iptables.affinity": Kind("Session affinity: a client is kept on its endpoint", _IPT),
    "iptables.endpoint.dnat": Kind("DNAT targets are exactly the ready endpoints", _IPT),
    "iptables.endpoint.hairpin": Kind("A pod that reaches itself is masqueraded", _IPT),
    "iptables.nodeport": Kind("KUBE-NODEPORTS sends each node port to its Service", _IPT),
    "iptables.health-check": Kind("A load balancer's health check node port is let in", _IPT),
    "iptables.no-endpoints": Kind("A Service without usable endpoints is refused or dropped", _IPT),
    "iptables.mark-masq": Kind("KUBE-MARK-MASQ sets the masquerade mark", _IPT),
    "iptables.postrouting": Kind("KUBE-POSTROUTING masquerades what is marked", _IPT),
    "iptables.forward": Kind("KUBE-FORWARD lets service traffic through", _IPT),
    "iptables.firewall": Kind("KUBE-FIREWALL keeps foreign traffic off 127.0.0.0/8", _IPT),
    "iptables.canary": Kind("KUBE-PROXY-CANARY is there, so that kube-proxy notices a flush", _IPT),
    "ipvs.table": Kind("Tables, sets, virtual servers, addresses: exactly what kube-proxy keeps", _IPVS),
    "ipvs.chain": Kind("kube-proxy's fixed chains exist", _IPVS),
    "ipvs.jump": Kind("Built-in chains jump to kube-proxy's chains, exactly once each", _IPVS),
    "ipvs.stray": Kind("No foreign rule ends or diverts a packet on its way to a Service", _IPVS),
    "ipvs.extra": Kind("Nothing in kube-proxy's chains, sets, virtual servers but what it writes", _IPVS),
    "ipvs.order": Kind("Rules stand in the order that the kernel needs", _IPVS),
    "ipvs.services": Kind("KUBE-SERVICES leaves service traffic to ipvs", _IPVS),
    "ipvs.masquerade": Kind("Service traffic that must come back by way of this node is marked", _IPVS),
    "ipvs.mark-masq": Kind("KUBE-MARK-MASQ sets the masquerade mark", _IPVS),
    "ipvs.postrouting": Kind("KUBE-POSTROUTING masquerades what is marked", _IPVS),
    "ipvs.forward": Kind("KUBE-FORWARD lets service traffic through", _IPVS),
    "ipvs.filter": Kind("The host's own ports are closed at service addresses", _IPVS),
    "ipvs.set": Kind("Each ipset has the right type, family and size", _IPVS),
    "ipvs.cluster-ip": Kind("KUBE-CLUSTER-IP holds every cluster IP and port", _IPVS),
    "ipvs.external": Kind("External IPs and load balancer addresses are in their sets", _IPVS),
    "ipvs.firewall": Kind("Load balancer source ranges are enforced", _IPVS),
    "ipvs.nodeport": Kind("Node ports are in their sets, and their traffic is masqueraded", _IPVS),
    "ipvs.health-check": Kind("A load balancer's health check node port is let in", _IPVS),
    "ipvs.hairpin": Kind("A pod that reaches itself is masqueraded", _IPVS),
    "ipvs.virtual-server": Kind("Each service address has its virtual server, scheduler and affinity", _IPVS),
    "ipvs.real-server": Kind("Real servers are exactly the ready endpoints, with weight 1", _IPVS),
    "ipvs.interface": Kind("kube-ipvs0 exists", _IPVS),
    "ipvs.address": Kind("kube-ipvs0 and KUBE-IPVS-IPS hold every service address", _IPVS),
    "ipvs.sysctl": Kind("Kernel settings that ipvs mode needs", _IPVS),
}


def title_of(check: str) -> str:
    """A kind's title, "" for one that this version does not know."""
    return KINDS[check].title if check in KINDS else ""
