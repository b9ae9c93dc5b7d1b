"""A node's KubeProxyConfiguration as far as its rules depend on it, with defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Literal, get_args

from msgspec import Struct, field

from kubewire.core.errors import LabError
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import Node, family_of
from kubewire.dataplane.core.registry import Mode

DetectMode = Literal["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]
_MODES: dict[str, Mode] = {"iptables": "iptables", "ipvs": "ipvs", "nftables": "nftables"}
_DETECT_MODES: dict[str, DetectMode] = {mode: mode for mode in get_args(DetectMode)}
_ZERO: dict[IpFamily, str] = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}
_LOOPBACK: dict[IpFamily, str] = {"ipv4": "127.0.0.0/8", "ipv6": "::1/128"}
_LOCALHOST: dict[IpFamily, str] = {"ipv4": "127.0.0.1", "ipv6": "::1"}
LIMIT = 1 << 20
"""Characters of a KubeProxyConfiguration; a ConfigMap holds no more bytes."""


class LocalDetector(Struct, frozen=True):
    """How kube-proxy detects a local pod's traffic: by source CIDR, bridge, or prefix of interface names.

    Not `implemented` (no CIDR of the family): rules that need it are absent.
    Source: pkg/proxy/util/localdetector.go.
    """

    kind: Literal["cidr", "bridge", "prefix"]
    value: str
    implemented: bool


class ProxyConfig(Struct, frozen=True):
    """One node's kube-proxy configuration; `masquerade_*` are those of the mode's own section.

    `conntrack_per_core` 0 leaves the size of the conntrack table alone.
    """

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
    conntrack_per_core: int = 32768
    conntrack_min: int = 131072
    tcp_be_liberal: bool = False

    @property
    def mark(self) -> int:
        """The masquerade mark's bit as a number, by default 0x4000."""
        return 1 << self.masquerade_bit

    @classmethod
    def parse(cls, text: str) -> ProxyConfig:
        """A KubeProxyConfiguration's text, YAML or JSON. Raises LabError."""
        try:
            return cls.from_mapping(_document(text))
        except (TypeError, ValueError, AttributeError) as error:
            raise LabError(f"not a KubeProxyConfiguration: {error}", where="kube-proxy.yaml") from error

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> ProxyConfig:
        """Read a KubeProxyConfiguration as written; zero values stand for defaults. Raises LabError."""
        if not isinstance(document, Mapping) or document.get("kind") != "KubeProxyConfiguration":
            raise LabError("not a KubeProxyConfiguration", where="kube-proxy.yaml")
        written = _word(document, "mode") or "iptables"
        mode = _MODES.get(written)
        if mode is None:
            raise LabError(
                f"kube-proxy mode {written[:40]!r} has no Linux dataplane to compare",
                where="kube-proxy.yaml",
            )
        iptables, ipvs = document.get("iptables") or {}, document.get("ipvs") or {}
        section = (document.get("nftables") or {}) if mode == "nftables" else iptables
        detect = document.get("detectLocal") or {}
        localhost = iptables.get("localhostNodePorts")
        conntrack = document.get("conntrack") or {}
        return cls(
            mode=mode,
            hostname_override=_word(document, "hostnameOverride"),
            bind_address=_address(_word(document, "bindAddress")),
            cluster_cidrs=_cidrs(_word(document, "clusterCIDR").split(",")),
            detect_local_mode=_detect_mode(_word(document, "detectLocalMode")),
            bridge_interface=_word(detect, "bridgeInterface"),
            interface_name_prefix=_word(detect, "interfaceNamePrefix"),
            masquerade_bit=_number(section, "masqueradeBit", 14, 31),
            masquerade_all=bool(section.get("masqueradeAll")),
            node_port_addresses=_words(document, "nodePortAddresses"),
            localhost_node_ports=localhost is not False,
            ipvs_scheduler=_word(ipvs, "scheduler") or "rr",
            ipvs_strict_arp=bool(ipvs.get("strictARP")),
            ipvs_exclude_cidrs=_cidrs(_words(ipvs, "excludeCIDRs")),
            feature_gates={str(k): bool(v) for k, v in (document.get("featureGates") or {}).items()},
            conntrack_per_core=_number(conntrack, "maxPerCore", 32768, 0x7FFFFFFF),
            conntrack_min=_number(conntrack, "min", 131072, 0x7FFFFFFF),
            tcp_be_liberal=bool(conntrack.get("tcpBeLiberal")),
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


def _document(text: str) -> Any:
    """Read YAML; JSON, a subset of it, is read by the faster JSON parser. Raises ValueError."""
    if len(text) > LIMIT:
        raise ValueError(f"larger than {LIMIT >> 20} MiB")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        from kubewire.core.bounded_yaml import read_yaml
    return read_yaml(text)


def _word(section: Mapping[str, Any], key: str) -> str:
    value = section.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    raise ValueError(f"{key} is not a string")


def _words(section: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = section.get(key) or ()
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ValueError(f"{key} is not a list of strings")


def _number(section: Mapping[str, Any], key: str, default: int, most: int) -> int:
    """Source: ValidateKubeProxyConfiguration in pkg/proxy/apis/config/validation."""
    value = section.get(key)
    if value is None:
        return default
    if type(value) is int and 0 <= value <= most:
        return value
    raise ValueError(f"{key} is not a number from 0 to {most}")


def _detect_mode(text: str) -> DetectMode:
    mode = _DETECT_MODES.get(text or "ClusterCIDR")
    if mode is None:
        raise ValueError(f"detectLocalMode {text[:40]!r} is not known")
    return mode


def _address(text: str) -> str:
    if text:
        ip_address(text)
    return text


def _cidrs(texts: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(text.strip(), strict=False)) for text in texts if text.strip())
    except ValueError as error:
        raise LabError(str(error), where="kube-proxy.yaml") from error
