"""The chain names and numbers of kube-proxy's iptables mode (pkg/proxy/iptables/proxier.go)."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from kubewire.dataplane.core.base32 import base32
from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.findings import IpFamily

SERVICES = "KUBE-SERVICES"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
NODEPORTS = "KUBE-NODEPORTS"
POSTROUTING = "KUBE-POSTROUTING"
MARK_MASQ = "KUBE-MARK-MASQ"
FORWARD = "KUBE-FORWARD"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
FIREWALL = "KUBE-FIREWALL"
CANARY = "KUBE-PROXY-CANARY"

SERVICE_PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-")
FIXED = {
    "filter": (SERVICES, EXTERNAL_SERVICES, FORWARD, NODEPORTS, PROXY_FIREWALL, CANARY),
    "nat": (SERVICES, NODEPORTS, POSTROUTING, MARK_MASQ, CANARY),
    "mangle": (CANARY,),
}


def digest(text: str) -> str:
    """The first 16 characters of the base32 of the SHA-256: the tail of a chain's name."""
    return base32(sha256(text.encode()).digest(), 16)


def seed(port: ServicePort) -> str:
    """What a service port's chain names are hashed from: printed name and lower-case protocol."""
    return port.name + port.protocol.lower()


def owned(table: str, chain: str) -> bool:
    """Whether kube-proxy, in iptables mode, is the one that writes a chain of that name."""
    return chain in FIXED.get(table, ()) or (table == "nat" and chain.startswith(SERVICE_PREFIXES))


@cache
def probability(share: int) -> str:
    """1/share as iptables prints it: kube-proxy writes ten decimals, the kernel keeps 31 bits."""
    return f"{round(2**31 * float(f'{1 / share:.10f}')) / 2**31:.11f}"


def tool(family: IpFamily) -> str:
    """The command that shows a family's tables."""
    return "ip6tables" if family == "ipv6" else "iptables"
