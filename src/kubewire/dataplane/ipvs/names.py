"""The names of kube-proxy's ipvs mode: ipsets, chains, the dummy interface (pkg/proxy/ipvs/ipset.go)."""

from __future__ import annotations

from typing import NamedTuple

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.iptables import names

SERVICES = names.SERVICES
POSTROUTING = names.POSTROUTING
MARK_MASQ = names.MARK_MASQ
FORWARD = names.FORWARD
PROXY_FIREWALL = names.PROXY_FIREWALL
INTERFACE = "kube-ipvs0"
NODE_PORT = "KUBE-NODE-PORT"
LOAD_BALANCER = "KUBE-LOAD-BALANCER"
SOURCE_RANGES_FIREWALL = "KUBE-SOURCE-RANGES-FIREWALL"
IPVS_FILTER = "KUBE-IPVS-FILTER"
IPVS_OUT_FILTER = "KUBE-IPVS-OUT-FILTER"
CHAINS = {
    "nat": (SERVICES, POSTROUTING, NODE_PORT, LOAD_BALANCER, MARK_MASQ),
    "filter": (
        FORWARD,
        NODE_PORT,
        PROXY_FIREWALL,
        SOURCE_RANGES_FIREWALL,
        IPVS_FILTER,
        IPVS_OUT_FILTER,
    ),
}

LOOP_BACK = "KUBE-LOOP-BACK"
CLUSTER_IP = "KUBE-CLUSTER-IP"
EXTERNAL_IP = "KUBE-EXTERNAL-IP"
EXTERNAL_IP_LOCAL = "KUBE-EXTERNAL-IP-LOCAL"
LB = "KUBE-LOAD-BALANCER"
LB_LOCAL = "KUBE-LOAD-BALANCER-LOCAL"
LB_FW = "KUBE-LOAD-BALANCER-FW"
LB_SOURCE_IP = "KUBE-LOAD-BALANCER-SOURCE-IP"
LB_SOURCE_CIDR = "KUBE-LOAD-BALANCER-SOURCE-CIDR"
HEALTH_CHECK = "KUBE-HEALTH-CHECK-NODE-PORT"
IPVS_IPS = "KUBE-IPVS-IPS"
NODE_PORTS = {
    "tcp": "KUBE-NODE-PORT-TCP",
    "udp": "KUBE-NODE-PORT-UDP",
    "sctp": "KUBE-NODE-PORT-SCTP-HASH",
}
NODE_PORTS_LOCAL = {
    "tcp": "KUBE-NODE-PORT-LOCAL-TCP",
    "udp": "KUBE-NODE-PORT-LOCAL-UDP",
    "sctp": "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
}

_LONGEST_SET_NAME = 31


class Kind(NamedTuple):
    """An ipset's type, and the comment of the iptables rule that uses it."""

    type: str
    comment: str


SETS: dict[str, Kind] = {
    LOOP_BACK: Kind(
        "hash:ip,port,ip", "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"
    ),
    CLUSTER_IP: Kind("hash:ip,port", "Kubernetes service cluster ip + port for masquerade purpose"),
    EXTERNAL_IP: Kind(
        "hash:ip,port", "Kubernetes service external ip + port for masquerade and filter purpose"
    ),
    EXTERNAL_IP_LOCAL: Kind(
        "hash:ip,port", "Kubernetes service external ip + port with externalTrafficPolicy=local"
    ),
    LB: Kind("hash:ip,port", "Kubernetes service lb portal"),
    LB_FW: Kind(
        "hash:ip,port", "Kubernetes service load balancer ip + port for load balancer with sourceRange"
    ),
    LB_LOCAL: Kind(
        "hash:ip,port", "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"
    ),
    LB_SOURCE_IP: Kind(
        "hash:ip,port,ip",
        "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
    ),
    LB_SOURCE_CIDR: Kind(
        "hash:ip,port,net",
        "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
    ),
    NODE_PORTS["tcp"]: Kind("bitmap:port", "Kubernetes nodeport TCP port for masquerade purpose"),
    NODE_PORTS_LOCAL["tcp"]: Kind(
        "bitmap:port", "Kubernetes nodeport TCP port with externalTrafficPolicy=local"
    ),
    NODE_PORTS["udp"]: Kind("bitmap:port", "Kubernetes nodeport UDP port for masquerade purpose"),
    NODE_PORTS_LOCAL["udp"]: Kind(
        "bitmap:port", "Kubernetes nodeport UDP port with externalTrafficPolicy=local"
    ),
    NODE_PORTS["sctp"]: Kind(
        "hash:ip,port", "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'"
    ),
    NODE_PORTS_LOCAL["sctp"]: Kind(
        "hash:ip,port",
        "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
    ),
    HEALTH_CHECK: Kind("bitmap:port", "Kubernetes health check node port"),
    IPVS_IPS: Kind("hash:ip", "Addresses on the ipvs interface"),
}


def set_name(name: str, family: IpFamily) -> str:
    """The set's name in the kernel: IPv6 sets are marked, and cut to what ipset takes."""
    if family == "ipv6":
        return name.replace("KUBE-", "KUBE-6-", 1)[:_LONGEST_SET_NAME]
    return name


def set_family(name: str) -> IpFamily:
    """The family of the proxier that writes a set of that name, "" if it is not one of kube-proxy's."""
    if name in SETS:
        return "ipv4"
    return "ipv6" if name in _SETS_6 else ""


_SETS_6 = frozenset(set_name(name, "ipv6") for name in SETS)


def owned(table: str, chain: str) -> bool:
    """Whether kube-proxy writes a chain of that name, in ipvs mode or, left over, in iptables mode."""
    return chain in CHAINS.get(table, ()) or names.owned(table, chain)
