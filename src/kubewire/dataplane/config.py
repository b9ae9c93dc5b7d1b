"""What a node's KubeProxyConfiguration means for its rules, defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from msgspec import Struct, field

from kubewire.dataplane.findings import IpFamily
from kubewire.dataplane.objects import Node, family_of
from kubewire.dataplane.registry import Mode
from kubewire.dataplane.versions import Version, has
from kubewire.errors import LabError

DetectMode = Literal["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]
_MODES: dict[str, Mode] = {"iptables": "iptables", "ipvs": "ipvs", "nftables": "nftables"}
_ZERO: dict[IpFamily, str] = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
_LOOPBACK: dict[IpFamily, str] = {"ipv4": "127.0.0.0/8", "ipv6": "::1/128"}
_LOCALHOST: dict[IpFamily, str] = {"ipv4": "127.0.0.1", "ipv6": "::1"}


class LocalDetector(Struct, frozen=True):
    """How kube-proxy tells a local pod's traffic: by a source CIDR, a bridge, or a prefix of interface names.

    Not `implemented` (no CIDR of the family): rules that need it are absent.
    Source: pkg/proxy/util/localdetector.go.
    """

    kind: Literal["cidr", "bridge", "prefix"]
    value: str
    implemented: bool


class ProxyConfig(Struct, frozen=True):
    """One node's kube-proxy configuration; `masquerade_*` are those of the mode's own section."""

    mode: Mode
    hostname_override: str = ""
    bind_address: str = ""
    cluster_cidrs: tuple[str, ...] = ()
    detect_local_mode: DetectMode = "ClusterCIDR"
    bridge_interface: str = ""
    interface_name_prefix: str = ""
    masquerade_bit: int = 14
    masquerade_all: bool = False
    node_port_addresses: tuple[str, ...] = ()
    localhost_node_ports: bool = True
    ipvs_scheduler: str = "rr"
    ipvs_strict_arp: bool = False
    ipvs_exclude_cidrs: tuple[str, ...] = ()
    feature_gates: Mapping[str, bool] = field(default_factory=dict)

    @property
    def mark(self) -> int:
        """The masquerade mark's bit as a number, by default 0x4000."""
        return 1 << self.masquerade_bit

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> ProxyConfig:
        """Read a KubeProxyConfiguration as written; zero values stand for defaults. Raises LabError."""
        if not isinstance(document, Mapping) or document.get("kind") != "KubeProxyConfiguration":
            raise LabError("not a KubeProxyConfiguration", where="kube-proxy.yaml")
        mode = _MODES.get(document.get("mode") or "iptables")
        if mode is None:
            raise LabError(
                f"kube-proxy mode {document['mode']!r} has no Linux dataplane to compare",
                where="kube-proxy.yaml",
            )
        iptables, ipvs = document.get("iptables") or {}, document.get("ipvs") or {}
        section = (document.get("nftables") or {}) if mode == "nftables" else iptables
        detect = document.get("detectLocal") or {}
        bit = section.get("masqueradeBit")
        localhost = iptables.get("localhostNodePorts")
        return cls(
            mode=mode,
            hostname_override=document.get("hostnameOverride") or "",
            bind_address=document.get("bindAddress") or "",
            cluster_cidrs=_cidrs(str(document.get("clusterCIDR") or "").split(",")),
            detect_local_mode=document.get("detectLocalMode") or "ClusterCIDR",
            bridge_interface=detect.get("bridgeInterface") or "",
            interface_name_prefix=detect.get("interfaceNamePrefix") or "",
            masquerade_bit=14 if bit is None else int(bit),
            masquerade_all=bool(section.get("masqueradeAll")),
            node_port_addresses=tuple(map(str, document.get("nodePortAddresses") or ())),
            localhost_node_ports=localhost is not False,
            ipvs_scheduler=ipvs.get("scheduler") or "rr",
            ipvs_strict_arp=bool(ipvs.get("strictARP")),
            ipvs_exclude_cidrs=_cidrs(ipvs.get("excludeCIDRs") or ()),
            feature_gates={str(k): bool(v) for k, v in (document.get("featureGates") or {}).items()},
        )

    def detector(self, family: IpFamily, node: Node) -> LocalDetector:
        """The detector of one family, by the first CIDR of that family (getLocalDetectors)."""
        if self.detect_local_mode == "BridgeInterface":
            return LocalDetector("bridge", self.bridge_interface, bool(self.bridge_interface))
        if self.detect_local_mode == "InterfaceNamePrefix":
            return LocalDetector("prefix", self.interface_name_prefix, bool(self.interface_name_prefix))
        cidrs = node.pod_cidrs if self.detect_local_mode == "NodeCIDR" else self.cluster_cidrs
        first = next((cidr for cidr in cidrs if family_of(cidr) == family), "")
        return LocalDetector("cidr", first, bool(first))

    def node_ip(self, family: IpFamily, node: Node) -> str:
        """The node IP of a family: bindAddress where it names one, else the Node's own, else localhost.

        Source: detectNodeIPs in cmd/kube-proxy/app/server.go.
        """
        if self.bind_address:
            bound = ip_address(self.bind_address)
            if not bound.is_unspecified and f"ipv{bound.version}" == family:
                return str(bound)
        return node.host_ip(family) or _LOCALHOST[family]

    def node_port_cidrs(self, family: IpFamily, node: Node, version: Version) -> tuple[str, ...]:
        """The CIDRs whose addresses accept NodePorts; the zero CIDR means all.

        In nftables mode the node's primary addresses stand for an unset list; 1.30 took its primary address
        for each family of which the list had no CIDR.
        Source: pkg/proxy/util/nodeport_addresses.go, expandNodePortAddressKeywords in cmd/kube-proxy/app.
        """
        primary = self.mode == "nftables" and has(version, "nft-primary-node-ips")
        keyword = has(version, "node-port-primary-keyword")
        wanted = self.node_port_addresses or (("primary",) if primary and keyword else ())
        ip = self.node_ip(family, node)
        own = f"{ip}/{128 if family == 'ipv6' else 32}"
        cidrs: list[str] = []
        for entry in wanted:
            if entry == "primary":
                cidrs += [] if ip_address(ip).is_loopback else [own]
            elif entry in ("localhost", "all"):
                cidrs.append((_LOOPBACK if entry == "localhost" else _ZERO)[family])
            else:
                cidrs += [cidr for cidr in _cidrs([entry]) if family_of(cidr) == family]
        return tuple(cidrs) or (own if primary and not keyword else _ZERO[family],)


def _cidrs(texts: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(text.strip(), strict=False)) for text in texts if text.strip())
    except ValueError as error:
        raise LabError(str(error), where="kube-proxy.yaml") from error
