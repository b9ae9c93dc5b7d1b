"""Which features a cluster state uses, and what its nodes show: the rows of the coverage table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from cluster_states import NODE_IP

from kubewire.dataplane.core.features import Version, has

Object = Mapping[str, Any]
FEATURES = (
    *("ClientIP affinity", "Local policy, endpoints on node-a", "Local policy, endpoints on node-b"),
    *("Local policy, none on node-a", "an endpoint in two slices", "another proxy's Service"),
    *("a Service with the headless label", "a slice with a label that hides it", "a slice of names"),
    *("a slice port without number", "a second ServiceCIDR"),
    *("a source range of all addresses", "an external IP of the node"),
    *("distribution PreferClose", "distribution PreferSameNode", "distribution PreferSameZone"),
    *("dual stack", "external IPs", "external Local", "health-check node port", "ingress Proxy"),
    *("ingress VIP", "ingress hostname", "internal Local", "load balancer without node ports"),
    *(
        "long names",
        "names like rules",
        "overlapping source ranges",
        "the longest names",
        "mixed endpoints",
        "more than 1000 endpoints",
        "named port",
        "no endpoints",
    ),
    *("no ready endpoints", "node hints on all", "node hints on some", "node port"),
    *("only terminating endpoints", "protocol SCTP", "protocol TCP", "protocol UDP", "several ports"),
    *("several slices", "single stack IPv4", "single stack IPv6", "source ranges"),
    *("topology annotation", "type ClusterIP", "type ExternalName", "type LoadBalancer"),
    *("type NodePort", "type headless", "unnamed port", "zone hints on all", "zone hints on some"),
)

CHANGES = (
    *("changed: a Service", "changed: endpoints alone", "changed: a Service is gone"),
    *("changed: a Service is new", "changed: across 1000 endpoints"),
)
LEFTOVERS = "leftovers of a former sync"


def _drops_invalid(version: Version, mode: str) -> bool:
    return mode == "iptables" or (mode == "nftables" and not has(version, "nft-cluster-ips"))


# What the dump of a node shows, and in which versions and modes it can.
DUMPED: Mapping[str, Callable[[Version, str], bool]] = {
    "dump: random-fully": lambda version, mode: True,
    "dump: nfacct counters": lambda version, mode: mode == "iptables" and has(version, "nfacct"),
    "dump: INVALID dropped": _drops_invalid,
    "dump: INVALID let through": _drops_invalid,
}
_LIKE_RULES = ("svc-j", "accept", "to-destination-10-0-0-1", "kube-svc-frekb6wnwyjlkthc")
_LEFT = (
    "stale",
    "was emptied",
    "is used by no rule",
    "keeps the former name",
    "left over",
    "on their way out",
)
LARGE = 1000


def dumped(dumps: Mapping[str, str], notes: Iterable[str]) -> set[str]:
    """What the node's dumps and the notes of its judgement show."""
    text = "\n".join(dumps.values())
    lower = text.lower()
    dropped = "--ctstate invalid" in lower or '"invalid"' in lower
    shown = {
        "dump: random-fully": "random-fully" in text or "fully-random" in text,
        "dump: nfacct counters": "-m nfacct" in text,
        "dump: INVALID dropped": dropped,
        "dump: INVALID let through": not dropped,
        LEFTOVERS: any(word in note for note in notes for word in _LEFT),
    }
    return {row for row, there in shown.items() if there}


def changes(before: Object, after: Object) -> set[str]:
    """How one v1 List of Services and EndpointSlices came from another."""
    services = [_specs(listed, "Service") for listed in (before, after)]
    slices = [_specs(listed, "EndpointSlice") for listed in (before, after)]
    common = services[0].keys() & services[1].keys()
    changed = {key for key in common if services[0][key] != services[1][key]}
    sizes = [sum(map(_size, listed["items"])) > LARGE for listed in (before, after)]
    shown = {
        "changed: a Service": bool(changed),
        "changed: endpoints alone": not changed
        and len(common) == len(services[0]) == len(services[1])
        and slices[0] != slices[1],
        "changed: a Service is gone": bool(services[0].keys() - common),
        "changed: a Service is new": bool(services[1].keys() - common),
        "changed: across 1000 endpoints": sizes[0] != sizes[1],
    }
    return {row for row, there in shown.items() if there}


def _specs(listed: Object, kind: str) -> dict[tuple[str, str], Any]:
    parts = ("spec", "status", "endpoints", "ports")
    return {
        (item["metadata"]["namespace"], item["metadata"]["name"]): [item.get(part) for part in parts]
        for item in listed["items"]
        if item["kind"] == kind
    }


def _size(item: Object) -> int:
    return len(item.get("endpoints") or ()) if item["kind"] == "EndpointSlice" else 0


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
    if sum(map(_size, slices)) > LARGE:
        found.add("more than 1000 endpoints")
    if sum(item["kind"] == "ServiceCIDR" for item in cluster["items"]) > 1:
        found.add("a second ServiceCIDR")
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
        yield from _of_ranges(spec["loadBalancerSourceRanges"])
    if NODE_IP in spec.get("externalIPs", ()):
        yield "an external IP of the node"
    if spec.get("allocateLoadBalancerNodePorts") is False:
        yield "load balancer without node ports"
    for entry in item.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        yield f"ingress {entry.get('ipMode', 'hostname')}"
    if meta.get("annotations"):
        yield "topology annotation"
    if "service.kubernetes.io/service-proxy-name" in (meta.get("labels") or {}):
        yield "another proxy's Service"
    if "service.kubernetes.io/headless" in (meta.get("labels") or {}):
        yield "a Service with the headless label"
    if len(meta["namespace"]) + len(meta["name"]) > 70:
        yield "long names"
    if len(meta["namespace"]) + len(meta["name"]) > 120:
        yield "the longest names"
    if meta["name"] in _LIKE_RULES:
        yield "names like rules"


def _of_ranges(ranges: Sequence[str]) -> Iterator[str]:
    if any(cidr.endswith("/0") for cidr in ranges):
        yield "a source range of all addresses"
    networks = [ip_network(cidr.strip(), strict=False) for cidr in ranges]
    pairs = ((a, b) for a in networks for b in networks if a is not b and a.version == b.version)
    if any(a.overlaps(b) for a, b in pairs):
        yield "overlapping source ranges"


def _of_endpoints(spec: Object, slices: Sequence[Object]) -> Iterator[str]:
    endpoints = [entry for piece in slices for entry in piece.get("endpoints") or ()]
    if spec.get("clusterIP") in (None, "", "None"):
        return
    if len(slices) > 1:
        yield "several slices"
    labels = {label for piece in slices for label in piece["metadata"]["labels"]}
    if labels & {"service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"}:
        yield "a slice with a label that hides it"
    if any(piece["addressType"] == "FQDN" for piece in slices):
        yield "a slice of names"
    if any("port" not in port for piece in slices for port in piece.get("ports") or ()):
        yield "a slice port without number"
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
