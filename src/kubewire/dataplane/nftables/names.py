"""Names of kube-proxy's nftables objects, and the nft words that generator and parser share.

Source: pkg/proxy/nftables/proxier.go (hashAndTruncate, servicePortChainNameBase, …).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
    summarize_address_range,
)

from msgspec import Struct

from kubewire.dataplane.core.base32 import base32
from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.config import LocalDetector
from kubewire.dataplane.core.endpoints import Endpoint
from kubewire.dataplane.core.findings import IpFamily

TABLE = "kube-proxy"
TABLE_COMMENT = "rules for kube-proxy"
AFFINITY_PREFIX = "affinity-"
LOCALHOST_REJECTS = "localhost-nodeport-reject-ports"
LOCALHOST_REJECT_PREFIX = "localhost-nodeport-reject-"
LOCALHOST_COUNTER_PREFIX = "localhost-nodeport-rejected-"
_LONGEST = 240
_COMMENT_LONGEST = 128

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class FamilyKeywords(Struct, frozen=True):
    """nft's words for one address family."""

    ip: str
    address_type: str
    localhost: str
    not_localhost: str


WORDS: dict[IpFamily, FamilyKeywords] = {
    "ipv4": FamilyKeywords("ip", "ipv4_addr", "ip daddr 127.0.0.0/8", "ip daddr != 127.0.0.0/8"),
    "ipv6": FamilyKeywords("ip6", "ipv6_addr", "ip6 daddr ::1", "ip6 daddr != ::1"),
}


@lru_cache(maxsize=65536)
def hashed(name: str) -> str:
    """The name behind the first 8 base32 characters of its sha256, cut to 240 bytes."""
    full = f"{base32(sha256(name.encode()).digest(), 8)}-{name}"
    return full if len(full) <= _LONGEST else full[: _LONGEST - 3] + "..."


def service_base(port: ServicePort) -> str:
    """`2QRHZV4L-default/kubernetes/tcp/https`, behind service-, local-, external- or firewall-."""
    return hashed(f"{port.namespace}/{port.service}/{port.protocol.lower()}/{port.port_name}")


def endpoint_base(port: ServicePort, endpoint: Endpoint) -> str:
    """`5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80`, behind endpoint- or affinity-."""
    service = f"{port.namespace}/{port.service}/{port.protocol.lower()}/{port.port_name}"
    return hashed(f"{service}__{endpoint.ip.replace(':', '.')}/{endpoint.port}")


def is_service_chain(name: str) -> bool:
    """Whether a chain belongs to a service or endpoint: only these have a "/" in their name."""
    return "/" in name


def cut_comment(comment: str) -> str:
    """A comment cut to what nftables stores."""
    return comment[:_COMMENT_LONGEST]


def local_match(detector: LocalDetector, ip: str, interface_word: str, *, negated: bool = False) -> str:
    """The detector's match for pod traffic: `ip saddr 10.244.0.0/16`, `iifname != "veth*"`.

    Source: pkg/proxy/util/localdetector.go.
    """
    sign = "!= " if negated else ""
    if detector.kind == "cidr":
        return f"{ip} saddr {sign}{detector.value}"
    return f'{interface_word} {sign}"{detector.value}{"*" if detector.kind == "prefix" else ""}"'


def address_set(written: Sequence[str]) -> tuple[str, ...]:
    """How nft prints an anonymous set of addresses and CIDRs: merged (as 1.0.6 does) first, then only sorted.

    A set that was written with one element is printed without braces.
    """
    networks = [ip_network(text) for text in written]
    if len(written) == 1:
        return (_network_text(networks[0]),)
    ordered = sorted(set(networks), key=lambda net: (int(net.network_address), net.prefixlen))
    forms = (_merged(ordered), [_network_text(net) for net in ordered])
    return tuple(dict.fromkeys(f"{{ {', '.join(form)} }}" for form in forms))


def _network_text(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _merged(ordered: Sequence[Network]) -> list[str]:
    """Touching and overlapping networks joined; what is then no prefix is printed as `first-last`."""
    ranges: list[tuple[int, int]] = []
    for network in ordered:
        first, last = int(network.network_address), int(network.broadcast_address)
        if ranges and first <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    address = type(ordered[0].network_address)
    return [_range_text(address(first), address(last)) for first, last in ranges]


def _range_text(first: Address, last: Address) -> str:
    prefixes: list[Network] = list(summarize_address_range(first, last))
    return _network_text(prefixes[0]) if len(prefixes) == 1 else f"{first}-{last}"
