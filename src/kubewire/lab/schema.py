"""The lab definition in `labs/*.yml`: its keys, their types and defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from kubewire.lab import rules
from kubewire.lab.values import (
    DNS_LABEL,
    FEATURE_GATE,
    IMAGE_REFERENCE,
    INTERFACE,
    NEWEST_MINOR,
    duration,
    kubernetes_version,
    mode,
    network,
    split_networks,
)

Network = IPv4Network | IPv6Network
DnsLabel = Annotated[str, Field(pattern=DNS_LABEL, max_length=63)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
PortNumber = Annotated[Whole, Field(ge=1, le=65535)]
Duration = Annotated[str, BeforeValidator(duration)]
ImageReference = Annotated[str, Field(pattern=IMAGE_REFERENCE)]
Interface = Annotated[str, Field(pattern=INTERFACE)]
Subnets = Annotated[
    tuple[Annotated[Network, BeforeValidator(network)], ...],
    BeforeValidator(split_networks),
]
KubernetesVersion = Annotated[str, BeforeValidator(kubernetes_version)]
Tool = Literal["ipset", "ipvsadm", "nftables", "conntrack", "tcpdump"]
CheckGroup = Literal["dataplane", "routes", "traffic"]


class Model(BaseModel):
    """Keys are camelCase in YAML and snake_case in Python; unknown keys are errors; immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class Mode(StrEnum):
    IPTABLES = "iptables"
    IPVS = "ipvs"
    NFTABLES = "nftables"


class IpFamily(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"


DEFAULT_SUBNETS: dict[IpFamily, tuple[tuple[Network, ...], tuple[Network, ...]]] = {
    IpFamily.IPV4: ((ip_network("10.244.0.0/16"),), (ip_network("10.96.0.0/16"),)),
    IpFamily.IPV6: ((ip_network("fd00:10:244::/56"),), (ip_network("fd00:10:96::/112"),)),
    IpFamily.DUAL: (
        (ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")),
        (ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112")),
    ),
}
"""ipFamily → (podSubnet, serviceSubnet), the defaults of kind."""


def _default_pods(data: dict[str, Any]) -> tuple[Network, ...]:
    return DEFAULT_SUBNETS[data["ip_family"]][0]


def _default_services(data: dict[str, Any]) -> tuple[Network, ...]:
    return DEFAULT_SUBNETS[data["ip_family"]][1]


class Nodes(Model):
    """The number of nodes. Control planes have the control-plane taint if there are workers."""

    control_planes: Annotated[Whole, Field(ge=1, le=9)] = 1
    """Nodes that run a kube-apiserver; without workers they also run pods."""
    workers: Annotated[Whole, Field(ge=0, le=50)] = 2
    """Nodes that run pods."""


@dataclass(frozen=True)
class OnlyIn:
    """Marks a kube-proxy option that only the section of one mode has."""

    mode: str


class KubeProxy(Model):
    """The KubeProxyConfiguration fields that a lab may set; null is kube-proxy's default."""

    scheduler: Annotated[
        Literal["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh"] | None,
        OnlyIn("ipvs"),
    ] = None
    """The IPVS scheduler; only in mode ipvs. Unset: kube-proxy's default, rr."""
    strict_arp: Annotated[Flag, OnlyIn("ipvs")] = Field(default=False, alias="strictARP")
    """Set arp_ignore=1 and arp_announce=2 on the nodes; only in mode ipvs."""
    masquerade_all: Flag = False
    """Masquerade all traffic to cluster IPs, also from pods."""
    masquerade_bit: Annotated[Whole, Field(ge=0, le=31)] = 14
    """The bit of the packet mark for masquerading: 14 is the mark 0x4000."""
    node_port_addresses: tuple[str, ...] = ()
    """The addresses of NodePorts: CIDRs, or `primary` (the node's own address, since Kubernetes 1.31),
    `localhost`, `all` (since 1.37). Unset: every address in iptables and ipvs, `primary` in nftables."""
    localhost_node_ports: Annotated[Flag, OnlyIn("iptables")] = True
    """Whether NodePorts work on 127.0.0.1 of the node; only in mode iptables."""
    detect_local_mode: Literal["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] = (
        "ClusterCIDR"
    )
    """How kube-proxy detects packets from pods of this cluster."""
    bridge_interface: Interface = ""
    """The bridge of the pods; with detectLocalMode BridgeInterface."""
    interface_name_prefix: Interface = ""
    """The prefix of pods' interfaces on the node (`veth`); with detectLocalMode InterfaceNamePrefix."""
    sync_period: Duration = "30s"
    """The interval between full syncs, as a Go duration."""
    min_sync_period: Duration = "1s"
    """The minimum interval between two syncs, as a Go duration."""
    feature_gates: dict[Annotated[str, Field(pattern=FEATURE_GATE)], Flag] = Field(default_factory=dict)
    """Feature gates of kube-proxy, each true or false."""

    @classmethod
    def of_one_mode(cls) -> Iterator[tuple[str, str, str]]:
        """Each option that is OnlyIn a mode: attribute, key, mode."""
        for name, option in cls.model_fields.items():
            for mark in option.metadata:
                if isinstance(mark, OnlyIn):
                    yield name, option.alias or name, mark.mode


class Httpbin(Model):
    """The httpbin Deployment and its Service."""

    replicas: Annotated[Whole, Field(ge=0, le=200)] = 4
    """Pods of the Deployment; with 0 the Service has no endpoints."""
    port: PortNumber = 8000
    """The Service's port."""
    target_port: PortNumber = 80
    """The port that the pods listen on."""
    port_name: DnsLabel = "http"
    """The Service port's name; kube-proxy hashes it into chain names."""
    image: ImageReference | None = None
    """Another image for the pods, which serves HTTP on the target port; only on kind.
    Unset: PyPI's httpbin, with the pod's name in the header X-Served-By."""
    namespace: DnsLabel = "default"
    """The namespace of the Deployment and the Service; created if it does not exist."""
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """The Service's type."""
    node_port: Annotated[Whole, Field(ge=30000, le=32767)] | None = None
    """A fixed node port; with type NodePort or LoadBalancer. Unset: Kubernetes assigns one."""
    internal_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    """Local sends traffic to the cluster IP only to pods on the same node."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """Local sends external traffic only to pods on the node that receives it, and keeps the client's address;
    with type NodePort or LoadBalancer."""
    session_affinity: Literal["None", "ClientIP"] = "None"
    """ClientIP sends all connections of a client to the same pod."""
    session_affinity_seconds: Annotated[Whole, Field(ge=1, le=86400)] | None = None
    """The timeout of the session affinity; with sessionAffinity ClientIP. Unset: 10800 (3 hours)."""


class Lab(Model):
    """The complete, effective definition of a lab, as in its record."""

    name: DnsLabel
    """The lab's name, and the prefix of its nodes' names. Unset: the file's name without its suffix."""
    description: str = ""
    """What the lab shows, in one sentence."""
    mode: Annotated[Mode, BeforeValidator(mode)]
    """How kube-proxy programs the node's dataplane."""
    provider: str = "auto"
    """The provider of the nodes: netns (network namespaces), kind, or auto, which chooses one."""
    node_image: ImageReference | None = None
    """The node image for kind. Unset: one built on this machine (`kubewire image build`), else the one that
    the kind project published for the Kubernetes version."""
    kubernetes: KubernetesVersion = f"1.{NEWEST_MINOR}"
    """The Kubernetes version: 1.34 is its newest available patch, 1.34.4 exactly that patch."""
    control_plane: KubernetesVersion | None = None
    """The control plane's version, if it differs from kube-proxy's: up to three minors newer; only on netns.
    Unset: the same version, if it is available."""
    nodes: Nodes = Nodes()
    """The number of nodes of each role."""
    ip_family: IpFamily = IpFamily.IPV4
    """The IP families of pods and Services."""
    pod_subnet: Subnets = Field(default_factory=_default_pods)
    """The subnet of the pods, a /24 (IPv6: a /64) for each node; for dual an IPv4 and an IPv6 subnet.
    Unset: 10.244.0.0/16 and fd00:10:244::/56."""
    service_subnet: Subnets = Field(default_factory=_default_services)
    """The subnet of cluster IPs; for dual an IPv4 and an IPv6 subnet.
    Unset: 10.96.0.0/16 and fd00:10:96::/112."""
    api_server_port: Annotated[Whole, Field(ge=0, le=65535)] = 0
    """The port of the API server on 127.0.0.1 of the host; 0 takes a free one."""
    kube_proxy: KubeProxy = KubeProxy()
    """Options of kube-proxy."""
    httpbin: Httpbin = Httpbin()
    """The workload: an httpbin Deployment and its Service."""
    dns: Flag = False
    """Run CoreDNS as the Service kube-system/kube-dns."""
    manifests: tuple[Path, ...] = ()
    """Further Kubernetes manifests to apply; paths are relative to this file."""
    tools: tuple[Tool, ...] = ("ipset", "ipvsadm")
    """Tools that every node must have."""
    checks: tuple[CheckGroup, ...] = ("dataplane", "routes", "traffic")
    """What `verify` checks: kube-proxy's objects, routes to pods, real requests."""

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        rules.enforce(self)
        return self


def node_names(lab: Lab) -> tuple[str, ...]:
    """The node names as kind gives them: LAB-control-plane, LAB-control-plane2, LAB-worker, LAB-worker2."""
    roles = (("control-plane", lab.nodes.control_planes), ("worker", lab.nodes.workers))
    return tuple(
        f"{lab.name}-{role}{number if number > 1 else ''}"
        for role, count in roles
        for number in range(1, count + 1)
    )


def control_planes_run_pods(lab: Lab) -> bool:
    """Whether control planes have no node-role.kubernetes.io/control-plane:NoSchedule taint."""
    return lab.nodes.workers == 0


def kubernetes_minor(lab: Lab) -> int:
    """34 for `1.34` and `1.34.4`."""
    return int(lab.kubernetes.split(".")[1])
