"""Services, EndpointSlices and Nodes as the API gives them, with what the dataplane needs of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from msgspec import Struct

from kubewire.dataplane.core.findings import IpFamily

_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
_HEADLESS_LABEL = "service.kubernetes.io/headless"
_SERVICE_LABEL = "kubernetes.io/service-name"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_NO_HINTS: frozenset[str] = frozenset()
_TOPOLOGY_ANNOTATIONS = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")


class Port(Struct, frozen=True, gc=False):
    """A Service port; `protocol` is upper case as in the API, `node_port` 0 when there is none."""

    name: str
    protocol: str
    port: int
    node_port: int = 0


class Service(Struct, frozen=True, gc=False):
    """A Service as the API gives it; `cluster_ips` by family, "" when it has none of that family.

    `headless_label`: it has the label that controllers give to slices of headless Services.
    """

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
    headless_label: bool = False


class SliceEndpoint(Struct, frozen=True, gc=False):
    """An endpoint of a slice: its first address only, as kube-proxy uses it."""

    ip: str
    node_name: str
    ready: bool
    serving: bool
    terminating: bool
    zone_hints: frozenset[str]
    node_hints: frozenset[str]


class EndpointSlice(Struct, frozen=True, gc=False):
    """`ports` are (name, upper-case protocol, number). `other_proxy`: it has the label for another proxy.

    `portless`: of several ports one has no number; such a port stands for all, and kube-proxy ignores it.
    """

    namespace: str
    service: str
    family: IpFamily
    ports: tuple[tuple[str, str, int], ...]
    endpoints: tuple[SliceEndpoint, ...]
    other_proxy: bool = False
    portless: bool = False


class Node(Struct, frozen=True):
    """What rules need of a Node object; `zone` "" without the label."""

    name: str
    zone: str = ""
    pod_cidrs: tuple[str, ...] = ()
    internal_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()

    def host_ip(self, family: IpFamily) -> str:
        """The first InternalIP of the family, else the first ExternalIP (GetNodeHostIPs in pkg/util/node)."""
        return next((ip for ip in (*self.internal_ips, *self.external_ips) if family_of(ip) == family), "")

    def internal_ip(self, family: IpFamily) -> str:
        """The first InternalIP of the family, "" if there is none."""
        return next((ip for ip in self.internal_ips if family_of(ip) == family), "")


def family_of(address: str) -> IpFamily:
    """The family of an address or CIDR, by its colons."""
    return "ipv6" if ":" in address else "ipv4"


def canonical(address: str) -> str:
    """An address as it is printed; raises ValueError for anything else."""
    return address if _IPV4.fullmatch(address) else str(ip_address(address))


def with_port(address: object, port: object) -> str:
    """`10.96.0.1:443`, `[fd00::1]:443`."""
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def nested(item: Mapping[str, Any], *path: str) -> Any:
    """A nested value, None where any step is absent or null."""
    value: Any = item
    for step in path:
        value = (value or {}).get(step)
    return value


def read_service(item: Mapping[str, Any]) -> Service:
    """Read a Service; raises KeyError, TypeError or ValueError for anything else."""
    meta, spec = item["metadata"], item.get("spec") or {}
    kind = spec.get("type") or "ClusterIP"
    external_ips = tuple(canonical(ip) for ip in spec.get("externalIPs") or ())
    external = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(external_ips))
    external_local = external and spec.get("externalTrafficPolicy") == "Local"
    sticky = spec.get("sessionAffinity") == "ClientIP"
    annotations = meta.get("annotations") or {}
    labels = meta.get("labels") or {}
    return Service(
        namespace=meta["namespace"],
        name=meta["name"],
        type=kind,
        cluster_ips={} if _PROXY_NAME_LABEL in labels else _cluster_ips(spec),
        ports=tuple(
            Port(p.get("name") or "", p.get("protocol") or "TCP", p["port"], p.get("nodePort") or 0)
            for p in spec.get("ports") or ()
        ),
        external_ips=external_ips,
        ingress=tuple(
            (canonical(entry["ip"]), entry.get("ipMode"))
            for entry in nested(item, "status", "loadBalancer", "ingress") or ()
            if entry.get("ip")
        ),
        source_ranges=tuple(
            str(ip_network(cidr.strip(), strict=False)) for cidr in spec.get("loadBalancerSourceRanges") or ()
        ),
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_policy_local=external_local,
        sticky_seconds=(nested(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds") or 10800)
        if sticky
        else None,
        health_check_node_port=(spec.get("healthCheckNodePort") or 0)
        if kind == "LoadBalancer" and external_local
        else 0,
        traffic_distribution=spec.get("trafficDistribution") or "",
        topology_annotation=next(
            (annotations[key] for key in _TOPOLOGY_ANNOTATIONS if key in annotations), ""
        ),
        headless_label=_HEADLESS_LABEL in labels,
    )


def _cluster_ips(spec: Mapping[str, Any]) -> dict[IpFamily, str]:
    if spec.get("clusterIP") in ("", "None", None):
        return {}
    addresses = [canonical(ip) for ip in spec.get("clusterIPs") or [spec["clusterIP"]]]
    return {family_of(ip): ip for ip in addresses}


def read_slice(item: Mapping[str, Any]) -> EndpointSlice | None:
    """Read an EndpointSlice; None for one of no Service, of a headless one, or of names."""
    labels = item["metadata"].get("labels") or {}
    service, address_type = labels.get(_SERVICE_LABEL), item.get("addressType")
    if not service or _HEADLESS_LABEL in labels or address_type not in ("IPv4", "IPv6"):
        return None
    ports = item.get("ports") or ()
    return EndpointSlice(
        namespace=item["metadata"]["namespace"],
        service=service,
        family="ipv4" if address_type == "IPv4" else "ipv6",
        ports=tuple(
            (port.get("name") or "", port.get("protocol") or "TCP", port["port"])
            for port in ports
            if port.get("port")
        ),
        endpoints=tuple(
            _slice_endpoint(entry) for entry in item.get("endpoints") or () if entry.get("addresses")
        ),
        other_proxy=_PROXY_NAME_LABEL in labels,
        portless=len(ports) > 1 and any(port.get("port") is None for port in ports),
    )


def _slice_endpoint(entry: Mapping[str, Any]) -> SliceEndpoint:
    conditions = entry.get("conditions") or {}
    hints = entry.get("hints") or {}
    zones, nodes = hints.get("forZones"), hints.get("forNodes")
    return SliceEndpoint(
        canonical(entry["addresses"][0]),
        entry.get("nodeName") or "",
        conditions.get("ready") is not False,
        conditions.get("serving") is not False,
        conditions.get("terminating") is True,
        frozenset(hint["name"] for hint in zones) if zones else _NO_HINTS,
        frozenset(hint["name"] for hint in nodes) if nodes else _NO_HINTS,
    )


def read_node(item: Mapping[str, Any]) -> Node:
    """Read a Node."""
    spec = item.get("spec") or {}
    cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return Node(
        name=item["metadata"]["name"],
        zone=nested(item, "metadata", "labels", "topology.kubernetes.io/zone") or "",
        pod_cidrs=tuple(str(ip_network(cidr, strict=False)) for cidr in cidrs),
        internal_ips=_addresses(item, "InternalIP"),
        external_ips=_addresses(item, "ExternalIP"),
    )


def _addresses(item: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    return tuple(
        str(ip_address(entry["address"]))
        for entry in nested(item, "status", "addresses") or ()
        if entry.get("type") == kind
    )
