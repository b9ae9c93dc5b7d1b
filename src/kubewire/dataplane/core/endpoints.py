"""From EndpointSlices to the endpoints that a node uses for a service port.

Source: pkg/proxy/endpointslicecache.go, pkg/proxy/topology.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from kubewire.dataplane.core.cluster import ClusterState, ServicePort
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.objects import Node, with_port


class Endpoint(Struct, frozen=True, gc=False):
    """One endpoint of a service port as a node sees it."""

    ip: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    is_local: bool = False
    zone_hints: frozenset[str] = frozenset()
    node_hints: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return with_port(self.ip, self.port)


class Categorized(Struct, frozen=True, gc=False):
    """The endpoints for cluster traffic, for local traffic, both; and whether there is any at all."""

    cluster: tuple[Endpoint, ...] = ()
    local: tuple[Endpoint, ...] = ()
    reachable: tuple[Endpoint, ...] = ()
    has_any: bool = False


def endpoints_for(
    cluster: ClusterState, service_port: ServicePort, node_name: str, version: Version
) -> tuple[Endpoint, ...]:
    """All cached endpoints of a service port, sorted by the string `ip:port` as kube-proxy does."""
    apart = has(version, "labels-by-kind")
    latest_wins = has(version, "duplicate-endpoint-last-wins")
    found: dict[str, Endpoint] = {}
    for item in cluster.slices_of.get((service_port.namespace, service_port.service), ()):
        if item.family != service_port.family or (item.other_proxy and not apart):
            continue
        numbers = [
            number
            for name, protocol, number in item.ports
            if name == service_port.port_name and protocol == service_port.protocol
        ]
        for number in numbers:
            for entry in item.endpoints:
                endpoint = Endpoint(
                    entry.ip,
                    number,
                    entry.ready,
                    entry.serving,
                    entry.terminating,
                    entry.node_name == node_name,
                    entry.zone_hints,
                    entry.node_hints,
                )
                key = str(endpoint)
                replaces = not endpoint.terminating if latest_wins else endpoint.is_local
                if key not in found or replaces:
                    found[key] = endpoint
    return tuple(found[key] for key in sorted(found))


def endpoints_of(cluster: ClusterState, port: ServicePort, node: Node, version: Version) -> Categorized:
    """Which endpoints of the port serve which traffic on that node."""
    return categorize(endpoints_for(cluster, port, node.name, version), port, node, version)


def categorize(
    endpoints: Sequence[Endpoint], service_port: ServicePort, node: Node, version: Version
) -> Categorized:
    """Which endpoints serve which traffic on that node; terminating ones only as a last resort (KEP-1669)."""
    if not endpoints:
        return Categorized()
    cluster: tuple[Endpoint, ...] = ()
    mode = ""
    if service_port.uses_cluster_endpoints:
        mode = _topology_mode(endpoints, service_port, node, version)
        cluster = tuple(e for e in endpoints if e.ready and _available(e, mode, node)) or tuple(
            filter(_draining, endpoints)
        )
    if not service_port.uses_local_endpoints:
        return Categorized(cluster=cluster, reachable=cluster, has_any=bool(cluster))
    has_any = any(e.ready or _draining(e) for e in endpoints)
    local = tuple(e for e in endpoints if e.is_local and e.ready)
    fallback = not local
    if fallback:
        local = tuple(e for e in endpoints if e.is_local and _draining(e))
    if not service_port.uses_cluster_endpoints:
        return Categorized(local=local, reachable=local, has_any=has_any)
    if not mode and not (fallback and local):
        return Categorized(cluster, local, cluster, has_any)
    union = {str(e): e for e in (*cluster, *local)}
    return Categorized(cluster, local, tuple(union[key] for key in sorted(union)), has_any)


def _draining(endpoint: Endpoint) -> bool:
    return endpoint.serving and endpoint.terminating


def _available(endpoint: Endpoint, mode: str, node: Node) -> bool:
    if mode == "node":
        return node.name in endpoint.node_hints
    if mode == "zone":
        return node.zone in endpoint.zone_hints
    return True


def _topology_mode(
    endpoints: Sequence[Endpoint], service_port: ServicePort, node: Node, version: Version
) -> str:
    """`node`, `zone` or "": hints count only if every ready endpoint has them (KEPs 2433, 4444, 3015)."""
    ready = [e for e in endpoints if e.ready]
    if not ready:
        return ""
    by_node = has(version, "prefer-same-node") and all(e.node_hints for e in ready)
    if by_node and any(node.name in e.node_hints for e in ready):
        return "node"
    if not has(version, "zone-hints"):
        return ""
    annotated = service_port.topology_annotation not in ("", "Disabled", "disabled")
    if not annotated and not has(version, "traffic-distribution"):
        return ""
    if node.zone and all(e.zone_hints for e in ready) and any(node.zone in e.zone_hints for e in ready):
        return "zone"
    return ""
