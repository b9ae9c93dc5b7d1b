"""Rules between the fields of a lab. Pure: a Lab in, problems out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import combinations
from typing import TYPE_CHECKING

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from kubewire.binaries.catalog import MAX_SKEW
from kubewire.lab.values import NEWEST_MINOR, network, seconds

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab, Network

Path = tuple[str | int, ...]
NODE_NETWORKS = (ip_network("172.18.0.0/16"), ip_network("fc00:f853:ccd:e793::/64"))
"""The network of the nodes, the same as kind's network in Docker."""
NODE_PORT_KEYWORDS = {"primary": 31, "localhost": 37, "all": 37}
"""Keyword of nodePortAddresses → the first minor that supports it (kubernetes#123105, #138427)."""


@dataclass(frozen=True)
class Problem:
    """An error, and the camelCase paths of all fields that cause it; it is reported at the first."""

    message: str
    paths: tuple[Path, ...]


def problem(message: str, *keys: str) -> Problem:
    """A Problem from dotted keys."""
    return Problem(message, tuple(tuple(key.split(".")) for key in keys))


def problems(lab: Lab) -> list[Problem]:
    """All conflicts between the fields of a lab."""
    parts = (_names, _repeats, _skew, _subnets, _mode_options, _local_detection, _node_ports, _service)
    return [found for part in parts for found in part(lab)]


def notes(lab: Lab) -> list[str]:
    """Warnings about what is allowed."""
    minor = _minor(lab)
    said = []
    if minor > NEWEST_MINOR:
        said.append(
            f"Kubernetes 1.{minor} is newer than 1.{NEWEST_MINOR}, the newest that kubewire knows: "
            "what kube-proxy must write may have changed"
        )
    if lab.mode == "ipvs" and minor >= 35:
        said.append("kube-proxy's ipvs mode is deprecated since Kubernetes 1.35 (KEP-5495)")
    if lab.httpbin.type == "LoadBalancer":
        said.append("no load balancer assigns addresses in a lab: httpbin answers on its node port")
    return said


def enforce(lab: Lab) -> None:
    """Raise all problems as a pydantic ValidationError; each error's ctx has `message` and `paths`."""
    found = problems(lab)
    if found:
        raise ValidationError.from_exception_data(
            "Lab",
            [
                InitErrorDetails(
                    type=PydanticCustomError(
                        "lab_rule", "{message}", {"message": each.message, "paths": each.paths}
                    ),
                    loc=each.paths[0],
                    input=None,
                )
                for each in found
            ],
        )


def _minor(lab: Lab) -> int:
    return int(lab.kubernetes.split(".")[1])


def _names(lab: Lab) -> Iterator[Problem]:
    from kubewire.lab.schema import node_names

    longest = max(node_names(lab), key=len)
    if len(longest) > 63:
        yield problem(
            f"the name is too long: node {longest} would have {len(longest)} characters, the limit is 63",
            "name",
        )


def _repeats(lab: Lab) -> Iterator[Problem]:
    for key, values in (("tools", lab.tools), ("checks", lab.checks), ("manifests", lab.manifests)):
        for index, value in enumerate(values):
            if value in values[:index]:
                yield Problem(f"{key} names {value} twice", ((key, index),))
    if not lab.checks:
        yield problem("checks is empty: name at least one of dataplane, routes, traffic", "checks")


def _skew(lab: Lab) -> Iterator[Problem]:
    if lab.control_plane is None:
        return
    if not 0 <= int(lab.control_plane.split(".")[1]) - _minor(lab) <= MAX_SKEW:
        yield problem(
            f"controlPlane {lab.control_plane} doesn't support kube-proxy {lab.kubernetes}: "
            f"it may be up to {MAX_SKEW} minors newer, but not older",
            "controlPlane",
            "kubernetes",
        )


def _subnets(lab: Lab) -> Iterator[Problem]:
    subnets = (("podSubnet", lab.pod_subnet), ("serviceSubnet", lab.service_subnet))
    wanted = {"ipv4": (4,), "ipv6": (6,), "dual": (4, 6)}[lab.ip_family]
    for key, networks in subnets:
        if tuple(each.version for each in networks) != wanted:
            families = " and ".join(f"one IPv{version} subnet" for version in wanted)
            order = ", in this order" if len(wanted) > 1 else ""
            yield problem(f"{key} must be {families}{order}: ipFamily is {lab.ip_family}", key, "ipFamily")
        for each in networks:
            if trouble := _unusable(each):
                yield problem(f"{key} {each} {trouble}", key)
    yield from _overlaps(subnets)
    nodes = lab.nodes.control_planes + lab.nodes.workers
    for each in lab.pod_subnet:
        per_node, widest = (24, 8) if each.version == 4 else (64, 48)
        if not widest <= each.prefixlen <= per_node:
            yield problem(f"podSubnet {each} must be a /{widest} to /{per_node}", "podSubnet")
        elif 2 ** (per_node - each.prefixlen) < nodes:
            yield problem(
                f"podSubnet {each} has room for {2 ** (per_node - each.prefixlen)} nodes "
                f"(a /{per_node} each), the lab has {nodes}",
                "podSubnet",
                "nodes.workers",
                "nodes.controlPlanes",
            )
    for each in lab.service_subnet:
        widest, narrowest = (12, 28) if each.version == 4 else (108, 124)
        if not widest <= each.prefixlen <= narrowest:
            yield problem(f"serviceSubnet {each} must be a /{widest} to /{narrowest}", "serviceSubnet")


def _unusable(subnet: Network) -> str:
    kinds = {
        "is for loopback": subnet.is_loopback,
        "is for multicast": subnet.is_multicast,
        "is for link-local addresses": subnet.is_link_local,
        "is reserved": subnet.is_reserved,
        "contains the unspecified address": subnet.network_address.is_unspecified,
    }
    return next((kind for kind, holds in kinds.items() if holds), "")


def _overlaps(subnets: Sequence[tuple[str, tuple[Network, ...]]]) -> Iterator[Problem]:
    flat = [(key, each) for key, networks in subnets for each in networks]
    for (key, each), (other_key, other) in combinations(flat, 2):
        if each.version == other.version and each.overlaps(other):
            yield problem(f"{other_key} {other} overlaps {key} {each}", other_key, key)
    for key, each in flat:
        for nodes in NODE_NETWORKS:
            if each.version == nodes.version and each.overlaps(nodes):
                yield problem(f"{key} {each} overlaps {nodes}, the network that the nodes are on", key)


def _mode_options(lab: Lab) -> Iterator[Problem]:
    proxy = lab.kube_proxy
    for name, key, mode in proxy.of_one_mode():
        if lab.mode != mode and getattr(proxy, name) != type(proxy).model_fields[name].default:
            yield problem(
                f"kubeProxy.{key} is only for mode {mode}, the lab's mode is {lab.mode}",
                f"kubeProxy.{key}",
                "mode",
            )
    if seconds(proxy.sync_period) <= 0:
        yield problem("kubeProxy.syncPeriod must be more than 0", "kubeProxy.syncPeriod")
    elif seconds(proxy.min_sync_period) > seconds(proxy.sync_period):
        yield problem(
            f"kubeProxy.minSyncPeriod {proxy.min_sync_period} is more than syncPeriod {proxy.sync_period}",
            "kubeProxy.minSyncPeriod",
            "kubeProxy.syncPeriod",
        )


def _local_detection(lab: Lab) -> Iterator[Problem]:
    proxy = lab.kube_proxy
    for mode, key, value in (
        ("BridgeInterface", "bridgeInterface", proxy.bridge_interface),
        ("InterfaceNamePrefix", "interfaceNamePrefix", proxy.interface_name_prefix),
    ):
        if proxy.detect_local_mode == mode and not value:
            yield problem(
                f"kubeProxy.detectLocalMode {mode} needs kubeProxy.{key}",
                "kubeProxy.detectLocalMode",
                f"kubeProxy.{key}",
            )
        elif value and proxy.detect_local_mode != mode:
            yield problem(
                f"kubeProxy.{key} is only for detectLocalMode {mode}, here it is {proxy.detect_local_mode}",
                f"kubeProxy.{key}",
                "kubeProxy.detectLocalMode",
            )


def _node_ports(lab: Lab) -> Iterator[Problem]:
    addresses = lab.kube_proxy.node_port_addresses
    for index, value in enumerate(addresses):
        path: Path = ("kubeProxy", "nodePortAddresses", index)
        since = NODE_PORT_KEYWORDS.get(value)
        if since is None:
            try:
                network(value)
            except PydanticCustomError as error:
                yield Problem(f"{error.message()}; or primary, localhost, all", (path,))
        elif _minor(lab) < since:
            yield Problem(
                f"nodePortAddresses has “{value}” since Kubernetes 1.{since}, the lab's is {lab.kubernetes}",
                (path, ("kubernetes",)),
            )
        elif value == "primary" and len(addresses) > 1 and _minor(lab) < NODE_PORT_KEYWORDS["all"]:
            yield Problem(
                f"before Kubernetes 1.37 “primary” must be the only value of nodePortAddresses, "
                f"the lab has {lab.kubernetes}",
                (path, ("kubernetes",)),
            )
        if value in addresses[:index]:
            yield Problem(f"nodePortAddresses names {value} twice", (path,))


def _service(lab: Lab) -> Iterator[Problem]:
    httpbin = lab.httpbin
    if httpbin.type == "ClusterIP":
        for key, value in (
            ("nodePort", httpbin.node_port),
            ("externalTrafficPolicy", httpbin.external_traffic_policy),
        ):
            if value is not None:
                yield problem(
                    f"httpbin.{key} is only for type NodePort or LoadBalancer, here it is ClusterIP",
                    f"httpbin.{key}",
                    "httpbin.type",
                )
    if httpbin.session_affinity_seconds is not None and httpbin.session_affinity != "ClientIP":
        yield problem(
            "httpbin.sessionAffinitySeconds is only for sessionAffinity ClientIP",
            "httpbin.sessionAffinitySeconds",
            "httpbin.sessionAffinity",
        )
