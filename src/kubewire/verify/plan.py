"""Which requests show that the lab's Service works: pure, from a snapshot and the lab's definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.endpoints import Categorized, endpoints_of
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import FAMILIES, IpFamily
from kubewire.dataplane.core.localhost import LOOPBACK, on_localhost
from kubewire.dataplane.core.pods import read_pods
from kubewire.lab.schema import Httpbin
from kubewire.verify.ipvs_traffic import scheduled
from kubewire.verify.probes import Probe, Vantage
from kubewire.verify.statistics import requests_needed

FEW = 4
MOST_EMPTY_SERVICES = 5
TRANSLATED = (
    "iptables.localhostNodePorts and route_localnet: rules take what is sent to 127.0.0.1 (IPv4 only)"
)
BY_LISTENER = "KEP-6032: a socket of kube-proxy's own serves TCP node ports on localhost"
NO_LISTENER = "KEP-6032: without an endpoint that its policy allows kube-proxy has no socket on localhost"
REJECTED = "KEP-6032: kube-proxy refuses the node ports on localhost that it doesn't serve there"


@dataclass(frozen=True, slots=True)
class Proxied:
    """A node as traffic sees it: its kube-proxy's configuration and version."""

    name: str
    config: ProxyConfig
    version: Version


@dataclass(frozen=True)
class Scene:
    """What planning needs; `pods` maps a pod's address to (namespace, name, node), ready pods only."""

    cluster: ClusterState
    nodes: tuple[Proxied, ...]
    pods: Mapping[str, tuple[str, str, str]]

    def endpoints(self, port: ServicePort, node: Proxied) -> Categorized:
        return endpoints_of(self.cluster, port, self.cluster.node(node.name), node.version)

    def names(self, endpoints: Categorized, *, local: bool) -> tuple[str, ...]:
        chosen = endpoints.local if local else endpoints.cluster
        return tuple(sorted(self.pods[e.ip][1] if e.ip in self.pods else e.ip for e in chosen))


def ready_pods(cluster: Mapping[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Address → (namespace, name, node) of every pod that is Ready and not terminating."""
    return {
        str(address): (pod.namespace, pod.short_name, pod.node)
        for pod in read_pods(cluster)
        if pod.ready and not pod.leaving
        for address in pod.addresses
    }


def plan(scene: Scene, httpbin: Httpbin) -> tuple[Probe, ...]:
    """Every probe of one run, spread probes sized so that together they stay within the budget."""
    probes: list[Probe] = []
    for family in FAMILIES:
        for port in service_ports(scene.cluster, family):
            if port.protocol != "TCP":
                continue
            if (port.namespace, port.service) == (httpbin.namespace, "httpbin"):
                probes += _cluster_ip(scene, port)
                probes += _node_ports(scene, port)
                probes += _on_localhost(scene, port)
        probes += _without_endpoints(scene, family, httpbin)
        probes += _refused_datagrams(scene, family)
    claims = sum(is_random(probe) for probe in probes)
    return tuple(
        replace(probe, count=requests_needed(len(probe.replicas), claims)) if is_random(probe) else probe
        for probe in probes
    )


def is_random(probe: Probe) -> bool:
    """Whether chance picks the replica of each request, so that the spread is a matter of statistics."""
    return probe.spread and not probe.scheduler


def _cluster_ip(scene: Scene, port: ServicePort) -> Iterator[Probe]:
    """From one replica's pod and from every node; the pod and the first worker ask for the whole spread."""
    client = _client_pod(scene, port)
    if client is not None:
        node = next((n for n in scene.nodes if n.name == client.node), scene.nodes[0])
        detects = node.config.detector(port.family, scene.cluster.node(node.name)).implemented
        kept = not node.config.masquerade_all
        probe = _internal(scene, port, node, client, spread=True)
        yield replace(probe, source="client" if kept and detects else "any" if kept else "node")
    for index, node in enumerate(scene.nodes):
        spread = index == (1 if len(scene.nodes) > 1 else 0)
        yield replace(_internal(scene, port, node, Vantage("node", node.name), spread=spread), source="node")


def _internal(scene: Scene, port: ServicePort, node: Proxied, vantage: Vantage, *, spread: bool) -> Probe:
    endpoints = scene.endpoints(port, node)
    replicas = scene.names(endpoints, local=port.internal_policy_local)
    if not replicas and node.config.mode == "ipvs":
        replicas = scene.names(endpoints, local=False)
    sticky = port.sticky_seconds is not None
    probe = Probe(
        check="traffic.clusterip",
        vantage=vantage,
        node=node.name,
        family=port.family,
        service=port.name,
        address=port.cluster_ip,
        port=port.port,
        count=FEW * 2 if sticky else FEW,
        replicas=replicas,
        spread=spread and not sticky,
        sticky=sticky,
    )
    if node.config.mode == "ipvs" and probe.spread and replicas:
        probe = scheduled(probe, node.config.ipvs_scheduler)
    return probe if replicas else _unanswered(probe, endpoints)


def _unanswered(probe: Probe, endpoints: Categorized) -> Probe:
    """Refused where the Service has no endpoint at all, dropped where only its policy excludes all."""
    if endpoints.has_any:
        dropped: Probe = replace(probe, check="traffic.local-only", outcome="dropped")
        return replace(dropped, count=1, spread=False, sticky=False)
    return replace(
        probe, check="traffic.no-endpoints", outcome="refused", count=1, spread=False, sticky=False
    )


def _client_pod(scene: Scene, port: ServicePort) -> Vantage | None:
    """The first ready replica, by name."""
    names = {
        scene.pods[e.ip]
        for node in scene.nodes
        for e in scene.endpoints(port, node).reachable
        if e.ip in scene.pods
    }
    if not names:
        return None
    namespace, name, node = min(names)
    return Vantage("pod", node, namespace, name)


def _node_ports(scene: Scene, port: ServicePort) -> Iterator[Probe]:
    """Every node's own address and node port, from outside and from the node itself."""
    if not port.node_port:
        return
    for node in scene.nodes:
        address = scene.cluster.node(node.name).internal_ip(port.family)
        if not address or not _accepts(scene, node, port.family, address):
            continue
        endpoints = scene.endpoints(port, node)
        local = port.external_policy_local
        probe = Probe(
            check="traffic.nodeport",
            vantage=Vantage("outside"),
            node=node.name,
            family=port.family,
            service=port.name,
            address=address,
            port=port.node_port,
            count=FEW,
            sticky=port.sticky_seconds is not None,
        )
        outside = scene.names(endpoints, local=local)
        if not outside and local and node.config.mode == "ipvs":
            outside = scene.names(endpoints, local=False)
        served = replace(probe, replicas=outside, source="client" if local else "node")
        yield served if outside else _unanswered(probe, endpoints)
        if outside or not endpoints.has_any:
            inside = replace(probe, vantage=Vantage("node", node.name))
            everyone = scene.names(endpoints, local=False)
            served = replace(inside, replicas=everyone, source="node")
            yield served if everyone else _unanswered(inside, endpoints)


def _on_localhost(scene: Scene, port: ServicePort) -> Iterator[Probe]:
    """The node port at every node's loopback address, where kube-proxy serves or refuses it."""
    if not port.node_port:
        return
    for node in scene.nodes:
        here = scene.cluster.node(node.name)
        handling = on_localhost(node.config, here, node.version, port.family, port.protocol)
        endpoints = scene.endpoints(port, node)
        probe = Probe(
            check="traffic.localhost",
            vantage=Vantage("node", node.name),
            node=node.name,
            family=port.family,
            service=port.name,
            address=LOOPBACK[port.family],
            port=port.node_port,
            count=FEW,
            sticky=port.sticky_seconds is not None,
            protocol="UDP" if port.protocol == "UDP" else "TCP",
        )
        local = handling == "listener" and port.external_policy_local
        replicas = scene.names(endpoints, local=local)
        if handling == "translated":
            served = replace(probe, replicas=replicas, source="node", why=TRANSLATED)
            yield served if replicas else _unanswered(probe, endpoints)
        elif handling == "listener" and replicas:
            yield replace(probe, replicas=replicas, why=BY_LISTENER)
        elif handling:
            why = REJECTED if handling == "refused" else NO_LISTENER
            yield replace(probe, outcome="refused", count=1, sticky=False, why=why)


def _refused_datagrams(scene: Scene, family: IpFamily) -> Iterator[Probe]:
    """A few UDP node ports on localhost, where kube-proxy refuses them."""
    udp = [p for p in service_ports(scene.cluster, family) if p.protocol == "UDP" and p.node_port]
    for port in udp[:MOST_EMPTY_SERVICES]:
        yield from (probe for probe in _on_localhost(scene, port) if probe.why == REJECTED)


def _accepts(scene: Scene, node: Proxied, family: IpFamily, address: str) -> bool:
    cidrs = node.config.node_port_cidrs(family, scene.cluster.node(node.name), node.version)
    return any(ip_address(address) in ip_network(cidr) for cidr in cidrs)


def _without_endpoints(scene: Scene, family: IpFamily, httpbin: Httpbin) -> Iterator[Probe]:
    """Cluster IPs of a few other Services without endpoints, from the first worker."""
    node = scene.nodes[1 if len(scene.nodes) > 1 else 0]
    empty = [
        port
        for port in service_ports(scene.cluster, family)
        if port.protocol == "TCP"
        and (port.namespace, port.service) != (httpbin.namespace, "httpbin")
        and not scene.endpoints(port, node).has_any
    ]
    for port in empty[:MOST_EMPTY_SERVICES]:
        yield _internal(scene, port, node, Vantage("node", node.name), spread=False)
