"""The ways to a Service through one node: who sends to which of its addresses, and by which interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from msgspec import Struct

from kubewire.dataplane.core.cluster import ClusterState, ServicePort
from kubewire.dataplane.core.endpoints import Categorized, categorize, endpoints_for
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.harm import Scope
from kubewire.dataplane.core.packet import OUTSIDE, Address, NotModelled, Packet
from kubewire.dataplane.core.pods import Pod
from kubewire.dataplane.core.routing import LOOPBACK, Routing
from kubewire.dataplane.node import Inputs


class Way(Struct, frozen=True):
    """One packet, its client and target in words; without an incoming interface a process here sends it."""

    client: str
    target: str
    port: ServicePort
    packet: Packet

    def __str__(self) -> str:
        return f"{self.client} to {self.target} ({self.packet.to}) of {self.port.name}"


class Client(Struct, frozen=True):
    """Who sends: an address of theirs, and the interface that they come in by, "" for a process here."""

    who: str
    address: Address
    interface: str = ""

    def way(self, port: ServicePort, target: str, address: str, number: int) -> Way:
        to = ip_address(address)
        return Way(
            self.who, target, port, Packet(self.address, to, port.protocol.lower(), number, self.interface)
        )


class Surroundings(Struct, frozen=True):
    """The clients that a node sees, of each kind as many as the rules tell apart; and all their addresses."""

    pods: tuple[Client, ...]
    processes: tuple[Client, ...]
    other_nodes: tuple[Client, ...]
    outside: tuple[Client, ...]
    addresses: frozenset[Address]

    @classmethod
    def of(
        cls,
        node: Inputs,
        cluster: ClusterState,
        pods: Sequence[Pod],
        routing: Routing,
        *,
        family: IpFamily,
        scopes: Sequence[Scope],
    ) -> Surroundings:
        """From the cluster's objects and the node's own routes; `scopes` are what the rules ask for."""
        name = node.facts.name
        running = [
            (pod, address)
            for pod in pods
            if not pod.host and (address := _of_family(pod.addresses, family)) is not None
        ]
        here = [ip for pod, ip in running if pod.node == name] + [
            ip_address(entry.ip)
            for item in cluster.slices
            if item.family == family
            for entry in item.endpoints
            if entry.node_name == name
        ]
        away = [ip for pod, ip in running if pod.node != name]
        others = [
            ip_address(ip)
            for other in cluster.nodes
            if other.name != name and (ip := other.internal_ip(family))
        ]
        outside = ip_address(OUTSIDE[family])
        uplink = next(filter(None, (_link(routing, ip) for ip in (*others, outside))), "")
        own = _of_family([ip_address(ip) for ip in node.facts.node.internal_ips], family)
        links = [(ip, device) for ip in dict.fromkeys(here) if (device := _link(routing, ip))]

        def each(who: str, found: Iterable[tuple[Address, str]]) -> tuple[Client, ...]:
            kinds: dict[object, Client] = {}
            for ip, link in found:
                kind = tuple(s.names_addresses({ip}) and s.names_interface(link) for s in scopes)
                kind += tuple(s.names_addresses({ip}, {ip}) for s in scopes)
                kinds.setdefault(kind, Client(who, ip, link))
            return tuple(kinds.values())

        through = bool(uplink)
        return cls(
            pods=each("pods on this node", links),
            processes=(Client("processes on this node", own),) if own else (),
            other_nodes=(
                *each("other nodes", ((ip, uplink) for ip in others if through)),
                *each("pods on other nodes", ((ip, uplink) for ip in away if through)),
            ),
            outside=(Client("clients outside", outside, uplink),) if through else (),
            addresses=frozenset((*here, *away, *others, outside, *((own,) if own else ()))),
        )


def ways_to(port: ServicePort, endpoints: Categorized, node: Inputs, around: Surroundings) -> Iterator[Way]:
    """Every kind of way to a service port that leads through the node."""
    inside = (*around.pods, *around.processes)
    everyone = (*inside, *around.outside)
    for client in inside:
        yield client.way(port, "the cluster IP", port.cluster_ip, port.port)
    node_ip = node.facts.node_ip(port.family, node.config)
    reachable: list[tuple[str, str, int]] = []
    if port.node_port and not ip_address(node_ip).is_loopback:
        reachable.append(("the node port", node_ip, port.node_port))
    reachable += [("an external IP", ip, port.port) for ip in port.external_ips[:1]]
    reachable += [("a load balancer's address", ip, port.port) for ip in port.lb_vips[:1]]
    for target, address, number in reachable:
        for client in everyone:
            yield client.way(port, target, address, number)
    for endpoint in (e for e in endpoints.reachable if e.is_local):
        for client in around.other_nodes:
            yield client.way(port, "an endpoint", endpoint.ip, endpoint.port)


def endpoints_of(port: ServicePort, node: Inputs, cluster: ClusterState) -> Categorized:
    """The endpoints that the node's kube-proxy uses for the port."""
    found = endpoints_for(cluster, port, node.facts.name, node.version)
    return categorize(found, port, node.facts.node, node.version)


def _link(routing: Routing, address: Address) -> str:
    """The interface by which the node reaches an address, "" for its own and for one without a route."""
    try:
        route = routing.lookup(address)
    except NotModelled:
        return ""
    return route.device if route and route.kind == "unicast" and route.device != LOOPBACK else ""


def _of_family(addresses: Sequence[Address], family: IpFamily) -> Address | None:
    return next((ip for ip in addresses if f"ipv{ip.version}" == family), None)
