"""The routes that pod traffic needs on each node, from `ip -j route`, Node objects and pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from kubewire.dataplane.core.findings import Check, Place
from kubewire.dataplane.core.iproute import ADDRESSES, ROUTES, WRONG, Route, links_down, read_routes
from kubewire.dataplane.core.objects import Node, family_of
from kubewire.dataplane.core.pods import Pod, read_pods
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot

_CIDR_SOURCE = "the Kubernetes network model; kindnet routes every node's podCIDRs by its InternalIP"
_POD_SOURCE = "the CNI plugin ptp gives each pod a veth pair and the node a host route to it"


def check_routes(snapshot: Snapshot) -> list[Check]:
    """Routes to every other node's pod CIDRs by way of that node, and one veth for each local pod.

    Nodes without `ip-route.json` are skipped, with the reason. Raises LabError if the objects are no List.
    """
    cluster = snapshot.state
    pods = [pod for pod in read_pods(snapshot.cluster) if pod.networked]
    checks: list[Check] = []
    for node in snapshot.nodes:
        routes = _routes(node)
        if isinstance(routes, Check):
            checks.append(routes)
            continue
        for other in cluster.nodes:
            if other.name != node.name:
                checks += _to_node(node.name, other, routes)
        down = links_down(node.files.get(ADDRESSES, "[]"))
        for pod in pods:
            if pod.node == node.name:
                checks += _to_pod(node.name, pod, routes, down)
    return checks


def _routes(node: NodeSnapshot) -> list[Route] | Check:
    if ROUTES not in node.files:
        why = node.errors.get(ROUTES) or f"the snapshot has no {ROUTES}"
        return Place("route", node.name, "").skip("route.pod-cidr", ROUTES, why)
    try:
        return [route for route in read_routes(node.files[ROUTES]) if route.kind == "unicast"]
    except WRONG as error:
        why, wanted = "routes can only be checked from `ip -j route`", "the output of `ip -j route`"
        actual = f"not understood: {error}"
        return Place("route", node.name, "").check("route.pod-cidr", ROUTES, why, wanted, actual)


def _to_node(here: str, other: Node, routes: Sequence[Route]) -> Iterator[Check]:
    for cidr in other.pod_cidrs:
        family = family_of(cidr)
        gateway = other.internal_ip(family)
        if not gateway:
            continue
        found = [route for route in routes if str(route.network) == cidr]
        wanted = f"{cidr} via {gateway}"
        narrower = [route for route in routes if _inside(route, cidr) and route not in found]
        good = len(found) == 1 and found[0].gateways == (ip_address(gateway),) and not narrower
        why = f"pods on {other.name} are reached by way of its address ({_CIDR_SOURCE})"
        label, actual = f"{cidr} of {other.name}", _texts([*found, *narrower])
        yield Place("route", here, family).check("route.pod-cidr", label, why, wanted, actual, ok=good)


def _to_pod(here: str, pod: Pod, routes: Sequence[Route], down: frozenset[str]) -> Iterator[Check]:
    for ip in pod.addresses:
        host = ip_network(ip)
        found = [route for route in routes if route.network == host]
        good = len(found) == 1 and not found[0].gateways and _on_veth(found[0])
        why = f"{pod.name} lives on this node ({_POD_SOURCE})"
        dead = sorted(down.intersection(*(route.devices for route in found))) if good else []
        label, wanted = f"{ip} of {pod.name}", f"{ip} dev veth…"
        actual = _texts(found) + (f" ({dead[0]} is down)" if dead else "")
        ok = good and not dead
        yield Place("route", here, family_of(str(ip))).check("route.pod", label, why, wanted, actual, ok=ok)


def _texts(found: Iterable[Route]) -> str:
    return "\n".join(route.text for route in found) or "(no such route)"


def _on_veth(route: Route) -> bool:
    return len(route.devices) == 1 and route.device.startswith("veth")


def _inside(route: Route, cidr: str) -> bool:
    inner, outer = route.network, ip_network(cidr)
    return (
        inner.version == outer.version
        and inner.prefixlen > outer.prefixlen
        and inner.network_address in outer
    )
