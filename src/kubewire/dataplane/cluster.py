"""The API objects that rules depend on, from a v1 List: Services, EndpointSlices, Nodes, ServiceCIDRs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_address, ip_network
from typing import Any

from kubewire.dataplane.findings import IpFamily
from kubewire.dataplane.versions import Version, has
from kubewire.errors import LabError

_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
_SERVICE_LABEL = "kubernetes.io/service-name"
_TOPOLOGY_ANNOTATIONS = ("service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints")


@dataclass(frozen=True, slots=True)
class Port:
    """A Service port; `protocol` is upper case as in the API, `node_port` 0 when there is none."""

    name: str
    protocol: str
    port: int
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class Service:
    """A Service as the API gives it; `cluster_ips` by family, "" when it has none of that family."""

    namespace: str
    name: str
    type: str
    cluster_ips: Mapping[IpFamily, str]
    ports: tuple[Port, ...]
    external_ips: tuple[str, ...]
    ingress: tuple[tuple[str, str | None], ...]
    source_ranges: tuple[str, ...]
    internal_local: bool
    external_policy_local: bool
    sticky_seconds: int | None
    health_check_node_port: int
    traffic_distribution: str
    topology_annotation: str


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """An endpoint of a slice: its first address only, as kube-proxy uses it."""

    ip: str
    node_name: str
    ready: bool
    serving: bool
    terminating: bool
    zone_hints: frozenset[str]
    node_hints: frozenset[str]


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """`ports` are (name, upper-case protocol, number)."""

    namespace: str
    service: str
    family: IpFamily
    ports: tuple[tuple[str, str, int], ...]
    endpoints: tuple[SliceEndpoint, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """What rules need of a Node object; `zone` "" without the label."""

    name: str
    zone: str = ""
    pod_cidrs: tuple[str, ...] = ()
    internal_ips: tuple[str, ...] = ()

    def internal_ip(self, family: IpFamily) -> str:
        """The first InternalIP of the family, "" if there is none."""
        return next((ip for ip in self.internal_ips if family_of(ip) == family), "")


@dataclass(frozen=True, eq=False)
class ClusterState:
    """All objects of one snapshot; compared by identity, so that what is derived from it is derived once."""

    services: tuple[Service, ...]
    slices: tuple[EndpointSlice, ...]
    nodes: tuple[Node, ...]
    service_cidrs: tuple[str, ...]

    @classmethod
    def from_list(cls, v1_list: Mapping[str, Any]) -> ClusterState:
        """Read a v1 List; other kinds are ignored. Raises LabError for what is no such list."""
        items = v1_list.get("items")
        if not isinstance(items, list):
            raise LabError("the cluster's objects are not a v1 List", where="cluster.json")
        kinds: dict[str, list[Mapping[str, Any]]] = {}
        for item in items:
            kinds.setdefault(item.get("kind", ""), []).append(item)
        try:
            return cls(
                services=tuple(map(_service, kinds.get("Service", ()))),
                slices=tuple(s for s in map(_slice, kinds.get("EndpointSlice", ())) if s is not None),
                nodes=tuple(map(_node, kinds.get("Node", ()))),
                service_cidrs=tuple(
                    str(ip_network(cidr, strict=False))
                    for item in kinds.get("ServiceCIDR", ())
                    for cidr in _get(item, "spec", "cidrs") or ()
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


@dataclass(frozen=True, slots=True)
class ServicePort:
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

    @property
    def name(self) -> str:
        """The printed name: `ns/name:port`, or `ns/name` for an unnamed port."""
        base = f"{self.namespace}/{self.service}"
        return f"{base}:{self.port_name}" if self.port_name else base

    @property
    def externally_accessible(self) -> bool:
        return self.node_port != 0 or bool(self.lb_vips) or bool(self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        return not self.internal_policy_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        return self.internal_policy_local or (self.external_policy_local and self.externally_accessible)


@lru_cache(maxsize=8)
def service_ports(
    cluster: ClusterState, family: IpFamily, version: Version | None = None
) -> tuple[ServicePort, ...]:
    """Every service port that kube-proxy programs in that family, sorted by name.

    Source: pkg/proxy/servicechangetracker.go.
    `version` None stands for the newest: before 1.30 a load balancer's ipMode was not looked at.
    """
    ip_mode = version is None or has(version, "load-balancer-ip-mode")
    ports = [port for service in cluster.services for port in _ports_of(service, family, ip_mode)]
    return tuple(
        sorted(ports, key=lambda port: (port.namespace, port.service, port.port_name, port.protocol))
    )


def family_of(address: str) -> IpFamily:
    """The family of an address or CIDR by its look."""
    return "ipv6" if ":" in address else "ipv4"


def _ports_of(service: Service, family: IpFamily, ip_mode: bool) -> Iterable[ServicePort]:
    cluster_ip = service.cluster_ips.get(family, "")
    if service.type == "ExternalName" or not cluster_ip:
        return
    external_ips = tuple(ip for ip in service.external_ips if family_of(ip) == family)
    lb_vips = tuple(
        ip
        for ip, mode in service.ingress
        if family_of(ip) == family and (mode in (None, "VIP") or not ip_mode)
    )
    ranges = tuple(cidr for cidr in service.source_ranges if family_of(cidr) == family)
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
            external_ips=external_ips,
            lb_vips=lb_vips,
            source_ranges=ranges,
            internal_policy_local=service.internal_local,
            external_policy_local=service.external_policy_local,
            sticky_seconds=service.sticky_seconds,
            health_check_node_port=service.health_check_node_port,
            traffic_distribution=service.traffic_distribution,
            topology_annotation=service.topology_annotation,
        )


def _get(item: Mapping[str, Any], *path: str) -> Any:
    """A nested value, None where any step is absent or null."""
    value: Any = item
    for step in path:
        value = (value or {}).get(step)
    return value


def _service(item: Mapping[str, Any]) -> Service:
    meta, spec = item["metadata"], item.get("spec") or {}
    kind = spec.get("type") or "ClusterIP"
    external_ips = tuple(str(ip_address(ip)) for ip in spec.get("externalIPs") or ())
    external = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(external_ips))
    external_local = external and spec.get("externalTrafficPolicy") == "Local"
    sticky = spec.get("sessionAffinity") == "ClientIP"
    annotations = meta.get("annotations") or {}
    foreign = _PROXY_NAME_LABEL in (meta.get("labels") or {})
    return Service(
        namespace=meta["namespace"],
        name=meta["name"],
        type=kind,
        cluster_ips={} if foreign else _cluster_ips(spec),
        ports=tuple(
            Port(p.get("name") or "", p.get("protocol") or "TCP", p["port"], p.get("nodePort") or 0)
            for p in spec.get("ports") or ()
        ),
        external_ips=external_ips,
        ingress=tuple(
            (str(ip_address(entry["ip"])), entry.get("ipMode"))
            for entry in _get(item, "status", "loadBalancer", "ingress") or ()
            if entry.get("ip")
        ),
        source_ranges=tuple(
            str(ip_network(cidr.strip(), strict=False)) for cidr in spec.get("loadBalancerSourceRanges") or ()
        ),
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_policy_local=external_local,
        sticky_seconds=(_get(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds") or 10800)
        if sticky
        else None,
        health_check_node_port=(spec.get("healthCheckNodePort") or 0)
        if kind == "LoadBalancer" and external_local
        else 0,
        traffic_distribution=spec.get("trafficDistribution") or "",
        topology_annotation=next(
            (annotations[key] for key in _TOPOLOGY_ANNOTATIONS if key in annotations), ""
        ),
    )


def _cluster_ips(spec: Mapping[str, Any]) -> dict[IpFamily, str]:
    if spec.get("clusterIP") in ("", "None", None):
        return {}
    addresses = [str(ip_address(ip)) for ip in spec.get("clusterIPs") or [spec["clusterIP"]]]
    return {family_of(ip): ip for ip in addresses}


def _slice(item: Mapping[str, Any]) -> EndpointSlice | None:
    service = _get(item, "metadata", "labels", _SERVICE_LABEL)
    address_type = item.get("addressType")
    if not service or address_type not in ("IPv4", "IPv6"):
        return None
    return EndpointSlice(
        namespace=item["metadata"]["namespace"],
        service=service,
        family="ipv4" if address_type == "IPv4" else "ipv6",
        ports=tuple(
            (port.get("name") or "", port.get("protocol") or "TCP", port["port"])
            for port in item.get("ports") or ()
            if port.get("port")
        ),
        endpoints=tuple(
            _slice_endpoint(entry) for entry in item.get("endpoints") or () if entry.get("addresses")
        ),
    )


def _slice_endpoint(entry: Mapping[str, Any]) -> SliceEndpoint:
    conditions = entry.get("conditions") or {}
    hints = entry.get("hints") or {}
    return SliceEndpoint(
        ip=str(ip_address(entry["addresses"][0])),
        node_name=entry.get("nodeName") or "",
        ready=conditions.get("ready") is not False,
        serving=conditions.get("serving") is not False,
        terminating=conditions.get("terminating") is True,
        zone_hints=frozenset(hint["name"] for hint in hints.get("forZones") or ()),
        node_hints=frozenset(hint["name"] for hint in hints.get("forNodes") or ()),
    )


def _node(item: Mapping[str, Any]) -> Node:
    spec = item.get("spec") or {}
    cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return Node(
        name=item["metadata"]["name"],
        zone=_get(item, "metadata", "labels", "topology.kubernetes.io/zone") or "",
        pod_cidrs=tuple(str(ip_network(cidr, strict=False)) for cidr in cidrs),
        internal_ips=tuple(
            str(ip_address(entry["address"]))
            for entry in _get(item, "status", "addresses") or ()
            if entry.get("type") == "InternalIP"
        ),
    )
