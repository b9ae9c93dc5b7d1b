"""The facts of a node that its rules depend on: kernel settings and addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from msgspec import Struct, field

from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.iproute import local_addresses
from kubewire.dataplane.core.objects import Node, canonical

_IPTABLES = re.compile(r"iptables v(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")

FORWARDING: dict[IpFamily, str] = {"ipv4": "net.ipv4.ip_forward", "ipv6": "net.ipv6.conf.all.forwarding"}
LOCALNET = "net.ipv4.conf.all.route_localnet"
"""The sysctls by which a node forwards, and by which loopback addresses may leave lo."""


class NodeFacts(Struct, frozen=True):
    """One node as its kube-proxy sees it; absent facts mean kernel defaults.

    `ipv6` is `on`, `disabled` (by sysctl), `absent` (from the kernel) or "" if unknown.
    `addresses` maps an interface to its addresses of both families (without prefix length).
    `random_fully`: whether its iptables knows the flag, as those from 1.6.2 on do (pkg/util/iptables).
    """

    node: Node
    tcp_be_liberal: bool = False
    nfacct: bool = True
    ipv6: str = ""
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    random_fully: bool = True

    @property
    def name(self) -> str:
        return self.node.name

    @classmethod
    def build(
        cls,
        node: Node,
        facts: Mapping[str, Any] | None = None,
        ip_addr: Sequence[Mapping[str, Any]] | None = None,
    ) -> NodeFacts:
        """From the Node, facts.json and `ip -j addr`, each of the latter two optional."""
        facts = facts or {}
        nfacct = facts.get("nfacct")
        addresses = {
            link["ifname"]: tuple(canonical(info["local"]) for info in local_addresses(link))
            for link in ip_addr or ()
            if "ifname" in link
        }
        return cls(
            node=node,
            tcp_be_liberal=bool(int(facts.get("tcp_be_liberal") or 0)),
            nfacct=True if nfacct is None else bool(nfacct),
            ipv6=str(facts.get("ipv6") or ""),
            addresses=addresses,
            random_fully=_knows_random_fully(facts.get("tools")),
        )

    def leaves_out(self, family: IpFamily, version: Version) -> bool:
        """Whether kube-proxy of that version leaves out the family because the kernel doesn't support it.

        Source: platformCheckSupported in cmd/kube-proxy/app/server_linux.go.
        """
        disabled = self.ipv6 == "disabled" and has(version, "ipv6-disabled")
        return family == "ipv6" and (disabled or self.ipv6 == "absent")

    def node_ip(self, family: IpFamily, config: ProxyConfig) -> str:
        """`ProxyConfig.node_ip` of this node."""
        return config.node_ip(family, self.node)

    def node_port_ips(self, cidrs: Sequence[str], family: IpFamily) -> tuple[str, ...]:
        """The node's own addresses inside the CIDRs, sorted, without duplicates."""
        networks = [ip_network(cidr) for cidr in cidrs]
        own = {ip_address(ip) for ips in self.addresses.values() for ip in ips}
        if not own:
            own = {ip_address(ip) for ip in ("127.0.0.1", "::1", *self.node.internal_ips)}
        chosen = {ip for ip in own if any(ip.version == net.version and ip in net for net in networks)}
        return tuple(str(ip) for ip in sorted(chosen, key=int) if f"ipv{ip.version}" == family)


def _knows_random_fully(tools: object) -> bool:
    """By the first line of `iptables --version`; True where that is not known."""
    line = tools.get("iptables") if isinstance(tools, Mapping) else None
    version = _IPTABLES.search(str(line))
    return version is None or tuple(map(int, version.groups(default="0"))) >= (1, 6, 2)
