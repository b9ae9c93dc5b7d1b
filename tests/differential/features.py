"""Which features a cluster state uses, as the API gives it: the rows of the coverage table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
FEATURES = (
    *("ClientIP affinity", "Local policy, endpoints on node-a", "Local policy, endpoints on node-b"),
    *("Local policy, none on node-a", "an endpoint in two slices", "another proxy's Service"),
    *("distribution PreferClose", "distribution PreferSameNode", "distribution PreferSameZone"),
    *("dual stack", "external IPs", "external Local", "health-check node port", "ingress Proxy"),
    *("ingress VIP", "ingress hostname", "internal Local", "load balancer without node ports"),
    *("long names", "mixed endpoints", "more than 1000 endpoints", "named port", "no endpoints"),
    *("no ready endpoints", "node hints on all", "node hints on some", "node port"),
    *("only terminating endpoints", "protocol SCTP", "protocol TCP", "protocol UDP", "several ports"),
    *("several slices", "single stack IPv4", "single stack IPv6", "source ranges"),
    *("topology annotation", "type ClusterIP", "type ExternalName", "type LoadBalancer"),
    *("type NodePort", "type headless", "unnamed port", "zone hints on all", "zone hints on some"),
)


def features(cluster: Object) -> set[str]:
    """The names of all features that a v1 List of Services and EndpointSlices uses."""
    services = [item for item in cluster["items"] if item["kind"] == "Service"]
    slices = [item for item in cluster["items"] if item["kind"] == "EndpointSlice"]
    found: set[str] = set()
    for item in services:
        meta = item["metadata"]
        mine = [
            entry
            for entry in slices
            if entry["metadata"]["namespace"] == meta["namespace"]
            and entry["metadata"].get("labels", {}).get("kubernetes.io/service-name") == meta["name"]
        ]
        found.update(_of_service(item))
        found.update(_of_endpoints(item["spec"], mine))
    if sum(len(entry.get("endpoints") or ()) for entry in slices) > 1000:
        found.add("more than 1000 endpoints")
    return found


def _of_service(item: Object) -> Iterator[str]:
    spec, meta = item["spec"], item["metadata"]
    kind = "headless" if spec.get("clusterIP") == "None" else spec["type"]
    yield f"type {kind}"
    families = spec.get("ipFamilies") or ()
    if families:
        yield "dual stack" if len(families) == 2 else f"single stack {families[0]}"
    for port in spec.get("ports") or ():
        yield f"protocol {port['protocol']}"
        yield "named port" if port.get("name") else "unnamed port"
        if port.get("nodePort"):
            yield "node port"
    if len(spec.get("ports") or ()) > 1:
        yield "several ports"
    for field, word in (("externalIPs", "external IPs"), ("healthCheckNodePort", "health-check node port")):
        if spec.get(field):
            yield word
    yield from (
        f"{key} Local" for key in ("internal", "external") if spec.get(f"{key}TrafficPolicy") == "Local"
    )
    if spec.get("sessionAffinity") == "ClientIP":
        yield "ClientIP affinity"
    if spec.get("trafficDistribution"):
        yield f"distribution {spec['trafficDistribution']}"
    if spec.get("loadBalancerSourceRanges"):
        yield "source ranges"
    if spec.get("allocateLoadBalancerNodePorts") is False:
        yield "load balancer without node ports"
    for entry in item.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        yield f"ingress {entry.get('ipMode', 'hostname')}"
    if meta.get("annotations"):
        yield "topology annotation"
    if "service.kubernetes.io/service-proxy-name" in (meta.get("labels") or {}):
        yield "another proxy's Service"
    if len(meta["namespace"]) + len(meta["name"]) > 70:
        yield "long names"


def _of_endpoints(spec: Object, slices: Sequence[Object]) -> Iterator[str]:
    endpoints = [entry for piece in slices for entry in piece.get("endpoints") or ()]
    if spec.get("clusterIP") in (None, "", "None"):
        return
    if len(slices) > 1:
        yield "several slices"
    addresses = [entry["addresses"][0] for entry in endpoints]
    if len(set(addresses)) < len(addresses):
        yield "an endpoint in two slices"
    kinds = {_condition(entry.get("conditions") or {}) for entry in endpoints}
    if not endpoints:
        yield "no endpoints"
    elif kinds == {"not ready"}:
        yield "no ready endpoints"
    elif kinds <= {"terminating", "not ready"}:
        yield "only terminating endpoints"
    elif len(kinds) > 1:
        yield "mixed endpoints"
    local = {entry.get("nodeName") for entry in endpoints}
    if "Local" in (spec.get("internalTrafficPolicy"), spec.get("externalTrafficPolicy")):
        yield from (f"Local policy, endpoints on {node}" for node in ("node-a", "node-b") if node in local)
        if endpoints and "node-a" not in local:
            yield "Local policy, none on node-a"
    hints = [entry.get("hints") or {} for entry in endpoints]
    for field, word in (("forZones", "zone"), ("forNodes", "node")):
        if hints and all(hint.get(field) for hint in hints):
            yield f"{word} hints on all"
        elif any(hint.get(field) for hint in hints):
            yield f"{word} hints on some"


def _condition(conditions: Object) -> str:
    if conditions.get("ready") is not False:
        return "ready"
    if conditions.get("terminating") and conditions.get("serving") is not False:
        return "terminating"
    return "not ready"
