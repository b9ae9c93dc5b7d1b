"""What each feature of the version table does to a dataplane, in a sentence, for those who see it change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a dataplane changed: its name (a feature of the version table, or another), a title, the source."""

    name: str
    title: str
    source: str = ""


_TOLD: dict[str, tuple[str, str]] = {
    "nfacct": ("counters for dropped packets (nfacct)", "kubernetes#122812, #125015"),
    "zero-source-range-is-none": ("a source range of all addresses stands for none", "kubernetes#132722"),
    "labels-by-kind": ("labels no longer hide headless Services and others' slices", "cmd/kube-proxy/app"),
    "external-ips": ("a gate decides whether external IPs are served", "AllowServiceExternalIPs"),
    "zone-hints": ("hints keep traffic in its zone", "KEP-2433"),
    "load-balancer-ip-mode": ("load balancer addresses with ipMode Proxy are left out", "KEP-1860"),
    "traffic-distribution": ("trafficDistribution chooses endpoints of the same zone", "KEP-4444"),
    "prefer-same-node": ("trafficDistribution may prefer endpoints of the same node", "KEP-3015"),
    "duplicate-endpoint-last-wins": ("of an endpoint given twice the last counts", "kubernetes#135593"),
    "ipvs-external-ip-local-filter": ("external IPs with policy Local pass its filter", "kubernetes#121919"),
    "ipv6-disabled": ("IPv6 is left out where the kernel has it switched off", "cmd/kube-proxy/app"),
    "nft-primary-node-ips": ("node ports answer on the node's primary address only", "KEP-3866"),
    "node-port-primary-keyword": ("nodePortAddresses knows “primary”", "kubernetes#123105"),
    "node-port-localhost-keyword": ("nodePortAddresses knows “localhost” and “all”", "kubernetes#138427"),
    "nft-object-comments": ("comments on tables, chains, sets and maps", "sigs.k8s.io/knftables 0.0.15"),
    "nft-cluster-ips": ("unknown cluster IPs and ports are refused: the set cluster-ips", "KEP-3866"),
    "nft-firewall-without-comments": ("the firewall's rules have lost their comments", "pkg/proxy/nftables"),
    "nft-pre-dnat-chains": ("checks moved behind DNAT, into renamed chains", "kubernetes#132456"),
    "nft-masquerade-any-port": ("masquerading of a Service's own traffic on any port", "pkg/proxy/nftables"),
    "nft-iifname": ("a bridge or interface prefix is matched by name", "kubernetes#134024"),
    "nft-dnat-map": ("one DNAT map a Service, not a chain an endpoint", "kubernetes#135800, #136499"),
    "nft-single-dnat": ("a Service with a single endpoint has no map", "kubernetes#140723"),
    "nft-comment-cut": ("comments are cut to the 128 bytes that nftables keeps", "kubernetes#139516"),
    "nft-localhost-node-ports": ("node ports on 127.0.0.1 in nftables mode", "KEP-6032"),
    "service-cidrs": ("the Service networks come from ServiceCIDR objects", "KEP-1880"),
}

FEATURE_CAUSES: dict[str, Cause] = {name: Cause(name, *told) for name, told in _TOLD.items()}
UNKNOWN = Cause("unknown", "nothing that kubewire knows of explains it")
CLUSTER = Cause("cluster", "the cluster's objects differ: Services, endpoints, nodes, or their networks")
CONFIGURATION = Cause("configuration", "kube-proxy's configuration differs")
NODE = Cause("node", "the node differs: its kernel's settings or its addresses")
