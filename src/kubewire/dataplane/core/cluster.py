"""The API objects that rules depend on, from a v1 List: Services, EndpointSlices, Nodes, ServiceCIDRs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from ipaddress import ip_network
from typing import Any

from msgspec import Struct

from kubewire.core.errors import LabError
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import (
    EndpointSlice,
    Node,
    Service,
    family_of,
    nested,
    read_node,
    read_service,
    read_slice,
)


class ClusterState(Struct, frozen=True, eq=False, dict=True):
    """All objects of one snapshot; compared by identity, so that derived data can be cached."""

    services: tuple[Service, ...]
    slices: tuple[EndpointSlice, ...]
    nodes: tuple[Node, ...]
    service_cidrs: tuple[str, ...]

    @classmethod
    def from_list(cls, v1_list: Mapping[str, Any]) -> ClusterState:
        """Read a v1 List; other kinds are ignored. Raises LabError for anything else."""
        items = v1_list.get("items")
        if not isinstance(items, list):
            raise LabError("the cluster's objects are not a v1 List", where="cluster.json")
        kinds: dict[str, list[Mapping[str, Any]]] = {}
        for item in items:
            kinds.setdefault(item.get("kind", ""), []).append(item)
        try:
            return cls(
                services=tuple(map(read_service, kinds.get("Service", ()))),
                slices=tuple(s for s in map(read_slice, kinds.get("EndpointSlice", ())) if s is not None),
                nodes=tuple(map(read_node, kinds.get("Node", ()))),
                service_cidrs=tuple(
                    str(ip_network(cidr, strict=False))
                    for item in kinds.get("ServiceCIDR", ())
                    for cidr in nested(item, "spec", "cidrs") or ()
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LabError(
                f"an object is not as the API gives it: {error!r}", where="cluster.json"
            ) from error

    @cached_property
    def slices_of(self) -> Mapping[tuple[str, str], tuple[EndpointSlice, ...]]:
        """Slices by (namespace, service name)."""
        index: dict[tuple[str, str], list[EndpointSlice]] = {}
        for item in self.slices:
            index.setdefault((item.namespace, item.service), []).append(item)
        return {key: tuple(value) for key, value in index.items()}

    def node(self, name: str) -> Node:
        """The Node of that name; one without any data if the API has none."""
        return next((node for node in self.nodes if node.name == name), Node(name))


class ServicePort(Struct, frozen=True, gc=False):
    """One port of a Service in one family, with what kube-proxy derives from it.

    Source: pkg/proxy/serviceport.go, pkg/api/v1/service/util.go.
    """

    namespace: str
    service: str
    port_name: str
    protocol: str
    family: IpFamily
    cluster_ip: str
    port: int
    node_port: int
    external_ips: tuple[str, ...]
    lb_vips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    internal_policy_local: bool
    external_policy_local: bool
    sticky_seconds: int | None
    health_check_node_port: int
    traffic_distribution: str
    topology_annotation: str
    external_ips_off: bool = False  # a gate leaves them without rules; they still count as accessible

    @property
    def name(self) -> str:
        """The printed name: `ns/name:port`, or `ns/name` for an unnamed port."""
        base = f"{self.namespace}/{self.service}"
        return f"{base}:{self.port_name}" if self.port_name else base

    @property
    def externally_accessible(self) -> bool:
        """Upstream's ExternallyAccessible: whether it has a chain KUBE-EXT-…, in nftables mode external-…."""
        return self.node_port != 0 or bool(self.lb_vips or self.external_ips) or self.external_ips_off

    @property
    def uses_cluster_endpoints(self) -> bool:
        return not self.internal_policy_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        return self.internal_policy_local or (self.external_policy_local and self.externally_accessible)


def service_ports(
    cluster: ClusterState, family: IpFamily, version: Version | None = None
) -> tuple[ServicePort, ...]:
    """Every service port that kube-proxy programs in that family, sorted by name.

    Source: pkg/proxy/servicechangetracker.go.
    `version` None stands for the newest. Before 1.30 a load balancer's ipMode was not looked at; newer ones
    take a source range of all addresses for no source ranges at all.
    """
    return _service_ports(
        cluster, family, frozenset(name for name in _VARYING if version is None or has(version, name))
    )


@lru_cache(maxsize=8)
def _service_ports(cluster: ClusterState, family: IpFamily, known: frozenset[str]) -> tuple[ServicePort, ...]:
    ports = [port for service in cluster.services for port in _ports_of(service, family, known)]
    return tuple(
        sorted(ports, key=lambda port: (port.namespace, port.service, port.port_name, port.protocol))
    )


_VARYING = ("external-ips", "labels-by-kind", "load-balancer-ip-mode", "zero-source-range-is-none")


def _ports_of(service: Service, family: IpFamily, known: frozenset[str]) -> Iterable[ServicePort]:
    cluster_ip = service.cluster_ips.get(family, "")
    if not cluster_ip or service.type == "ExternalName":
        return
    if service.headless_label and "labels-by-kind" not in known:
        return
    external_ips = tuple(ip for ip in service.external_ips if family_of(ip) == family)
    off = "external-ips" not in known
    ip_mode = "load-balancer-ip-mode" in known
    lb_vips = tuple(
        ip
        for ip, mode in service.ingress
        if family_of(ip) == family and (mode in (None, "VIP") or not ip_mode)
    )
    ranges = tuple(cidr for cidr in service.source_ranges if family_of(cidr) == family)
    if "zero-source-range-is-none" in known and any(cidr.endswith("/0") for cidr in ranges):
        ranges = ()
    for port in service.ports:
        yield ServicePort(
            namespace=service.namespace,
            service=service.name,
            port_name=port.name,
            protocol=port.protocol,
            family=family,
            cluster_ip=cluster_ip,
            port=port.port,
            node_port=port.node_port,
            external_ips=() if off else external_ips,
            lb_vips=lb_vips,
            source_ranges=ranges,
            internal_policy_local=service.internal_local,
            external_policy_local=service.external_policy_local,
            sticky_seconds=service.sticky_seconds,
            health_check_node_port=service.health_check_node_port,
            traffic_distribution=service.traffic_distribution,
            topology_annotation=service.topology_annotation,
            external_ips_off=off and bool(external_ips),
        )
