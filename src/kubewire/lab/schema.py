"""The lab definition: what a user writes in `labs/*.yml`, validated, every default filled in."""

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
    """Keys are camelCase in YAML and snake_case in Python; unknown keys are errors; values never change."""

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
    """How many nodes. Control planes carry the control-plane taint when there are workers."""

    control_planes: Annotated[Whole, Field(ge=1, le=9)] = 1
    """Nodes that run a kube-apiserver; without workers they also run pods."""
    workers: Annotated[Whole, Field(ge=0, le=50)] = 2
    """Nodes that run pods."""


@dataclass(frozen=True)
class OnlyIn:
    """Marks an option of kube-proxy that stands in one mode's section alone."""

    mode: str


class KubeProxy(Model):
    """The KubeProxyConfiguration fields a lab may set; null leaves kube-proxy's own default."""

    scheduler: Annotated[
        Literal["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh"] | None,
        OnlyIn("ipvs"),
    ] = None
    """How IPVS picks a real server; only in mode ipvs, where kube-proxy takes rr by default."""
    strict_arp: Annotated[Flag, OnlyIn("ipvs")] = Field(default=False, alias="strictARP")
    """Set arp_ignore=1 and arp_announce=2 on the nodes; only in mode ipvs."""
    masquerade_all: Flag = False
    """Masquerade everything sent to a cluster IP, also what comes from pods."""
    masquerade_bit: Annotated[Whole, Field(ge=0, le=31)] = 14
    """The bit of the packet mark that asks for masquerading: 14 is the mark 0x4000."""
    node_port_addresses: tuple[str, ...] = ()
    """Where NodePorts answer: CIDRs, or `primary` (the node's own address, from Kubernetes 1.31),
    `localhost`, `all` (from 1.37). Unset: every address in iptables and ipvs, `primary` in nftables."""
    localhost_node_ports: Annotated[Flag, OnlyIn("iptables")] = True
    """Whether NodePorts answer on 127.0.0.1 of the node; only in mode iptables."""
    detect_local_mode: Literal["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] = (
        "ClusterCIDR"
    )
    """How kube-proxy tells that a packet comes from a pod of this cluster."""
    bridge_interface: Interface = ""
    """The bridge that pods' packets come from; with detectLocalMode BridgeInterface."""
    interface_name_prefix: Interface = ""
    """How pods' interfaces on the node begin (`veth`); with detectLocalMode InterfaceNamePrefix."""
    sync_period: Duration = "30s"
    """How often the whole dataplane is looked over, as a Go duration."""
    min_sync_period: Duration = "1s"
    """The least time between two syncs, as a Go duration."""
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
    """Pods of the Deployment; 0 makes a Service without endpoints."""
    port: PortNumber = 8000
    """The Service's port."""
    target_port: PortNumber = 80
    """The port that the pods listen on."""
    port_name: DnsLabel = "http"
    """The Service port's name; it is part of what kube-proxy hashes into chain names."""
    image: ImageReference | None = None
    """Another image for the pods, answering HTTP on the target port; only kind runs any image.
    Unset: PyPI's httpbin, saying in X-Served-By which pod answered."""
    namespace: DnsLabel = "default"
    """Where the Deployment and the Service live; made if it does not exist."""
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """The Service's type."""
    node_port: Annotated[Whole, Field(ge=30000, le=32767)] | None = None
    """A fixed node port; with type NodePort or LoadBalancer. Unset: Kubernetes picks one."""
    internal_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    """Local sends traffic to the cluster IP only to pods of the same node."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """Local sends traffic from outside only to pods of the node it reached, and keeps the client's address;
    with type NodePort or LoadBalancer."""
    session_affinity: Literal["None", "ClientIP"] = "None"
    """ClientIP sends a client to the same pod again."""
    session_affinity_seconds: Annotated[Whole, Field(ge=1, le=86400)] | None = None
    """How long a client is remembered; with sessionAffinity ClientIP. Unset: 10800 (3 hours)."""


class Lab(Model):
    """One lab, complete: the effective definition that a lab's record keeps."""

    name: DnsLabel
    """The lab's name, the beginning of its nodes' names. Unset: the file's name without its ending."""
    description: str = ""
    """What the lab shows, in a sentence."""
    mode: Annotated[Mode, BeforeValidator(mode)]
    """How kube-proxy programs the node's dataplane."""
    provider: str = "auto"
    """What makes the nodes: network namespaces (netns), kind, or whichever this machine has (auto)."""
    node_image: ImageReference | None = None
    """The node image for kind. Unset: one built here (`kubewire image build`), else the one that kind's
    project published for the Kubernetes version."""
    kubernetes: KubernetesVersion = f"1.{NEWEST_MINOR}"
    """The Kubernetes version: 1.34 means its newest patch that can be had, 1.34.4 that very one."""
    control_plane: KubernetesVersion | None = None
    """The control plane's version, where it is to be another one than kube-proxy's: up to three minors newer;
    only on netns. Unset: the same version, where it can be had."""
    nodes: Nodes = Nodes()
    """How many nodes of which role."""
    ip_family: IpFamily = IpFamily.IPV4
    """The families of pod and Service addresses."""
    pod_subnet: Subnets = Field(default_factory=_default_pods)
    """Where pod addresses come from, a /24 (IPv6: a /64) for each node; for dual an IPv4 and an IPv6 subnet.
    Unset: 10.244.0.0/16 and fd00:10:244::/56."""
    service_subnet: Subnets = Field(default_factory=_default_services)
    """Where cluster IPs come from; for dual an IPv4 and an IPv6 subnet.
    Unset: 10.96.0.0/16 and fd00:10:96::/112."""
    api_server_port: Annotated[Whole, Field(ge=0, le=65535)] = 0
    """The port on 127.0.0.1 of the host where kubectl reaches the API; 0 takes a free one."""
    kube_proxy: KubeProxy = KubeProxy()
    """Options of kube-proxy."""
    httpbin: Httpbin = Httpbin()
    """The workload whose path through the node's dataplane is shown and checked."""
    dns: Flag = False
    """Run CoreDNS as the Service kube-system/kube-dns."""
    manifests: tuple[Path, ...] = ()
    """More Kubernetes manifests to apply, by path relative to this file."""
    tools: tuple[Tool, ...] = ("ipset", "ipvsadm")
    """Tools that must be there on every node."""
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
    """Whether control planes go without the node-role.kubernetes.io/control-plane:NoSchedule taint."""
    return lab.nodes.workers == 0


def kubernetes_minor(lab: Lab) -> int:
    """34 for `1.34` and `1.34.4`."""
    return int(lab.kubernetes.split(".")[1])
