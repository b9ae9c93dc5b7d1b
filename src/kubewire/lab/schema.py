"""The lab definition: what a user writes in `labs/*.yml`, validated, every default filled in."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Network = IPv4Network | IPv6Network
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class Model(BaseModel):
    """Keys are camelCase in YAML and snake_case in Python; unknown keys are errors; values never change."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )


class Mode(StrEnum):
    IPTABLES = "iptables"
    IPVS = "ipvs"
    NFTABLES = "nftables"


class IpFamily(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"


class Nodes(Model):
    """How many nodes: `control_planes` carry the control-plane taint when there are workers."""

    control_planes: Annotated[int, Field(ge=1, le=9)] = 1
    workers: Annotated[int, Field(ge=0, le=50)] = 2


class KubeProxy(Model):
    """The KubeProxyConfiguration fields a lab may set; None leaves kube-proxy's own default."""

    scheduler: Literal["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh"] | None = None
    strict_arp: bool = Field(default=False, alias="strictARP")
    masquerade_all: bool = False
    masquerade_bit: Annotated[int, Field(ge=0, le=31)] = 14
    node_port_addresses: tuple[str, ...] = ()
    localhost_node_ports: bool = True
    detect_local_mode: Literal["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] = (
        "ClusterCIDR"
    )
    bridge_interface: str = ""
    interface_name_prefix: str = ""
    sync_period: str = "30s"
    min_sync_period: str = "1s"
    feature_gates: dict[str, bool] = Field(default_factory=dict)


class Httpbin(Model):
    """The httpbin Deployment and its Service."""

    replicas: Annotated[int, Field(ge=0, le=200)] = 4
    port: PortNumber = 8000
    target_port: PortNumber = 80
    port_name: DnsLabel = "http"
    namespace: DnsLabel = "default"
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    node_port: Annotated[int, Field(ge=30000, le=32767)] | None = None
    internal_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    session_affinity: Literal["None", "ClientIP"] = "None"
    session_affinity_seconds: Annotated[int, Field(ge=1, le=86400)] | None = None


class Lab(Model):
    """One lab, complete: the effective definition that a lab's record keeps."""

    name: DnsLabel
    description: str = ""
    mode: Mode
    provider: Literal["auto", "netns", "kind"] = "auto"
    kubernetes: str = ""
    nodes: Nodes = Nodes()
    ip_family: IpFamily = IpFamily.IPV4
    pod_subnet: tuple[Network, ...] = ()
    service_subnet: tuple[Network, ...] = ()
    api_server_port: Annotated[int, Field(ge=0, le=65535)] = 0
    kube_proxy: KubeProxy = KubeProxy()
    httpbin: Httpbin = Httpbin()
    dns: bool = False
    manifests: tuple[Path, ...] = ()
    tools: tuple[str, ...] = ("ipset", "ipvsadm")
    checks: tuple[str, ...] = ("dataplane", "routes", "traffic")


def node_names(lab: Lab) -> tuple[str, ...]:
    """The node names as kind gives them: LAB-control-plane, LAB-control-plane2, LAB-worker, LAB-worker2."""
    roles = (("control-plane", lab.nodes.control_planes), ("worker", lab.nodes.workers))
    return tuple(
        f"{lab.name}-{role}{number if number > 1 else ''}"
        for role, count in roles
        for number in range(1, count + 1)
    )


DEFAULT_SUBNETS: dict[IpFamily, tuple[tuple[Network, ...], tuple[Network, ...]]] = {
    IpFamily.IPV4: ((ip_network("10.244.0.0/16"),), (ip_network("10.96.0.0/16"),)),
    IpFamily.IPV6: ((ip_network("fd00:10:244::/56"),), (ip_network("fd00:10:96::/112"),)),
    IpFamily.DUAL: (
        (ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")),
        (ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112")),
    ),
}
