"""The ways to a Service through one node: who sends to which of its addresses, and by which interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cache
from ipaddress import ip_address

from msgspec import Struct
from msgspec.structs import replace

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.endpoints import Categorized, endpoints_of
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.harm import Scope, number_of
from kubewire.dataplane.core.packet import OUTSIDE, Address, NotModelled, Packet
from kubewire.dataplane.core.pods import Pod
from kubewire.dataplane.core.routing import LOOPBACK, Routing
from kubewire.dataplane.node import Inputs

MOST_STRANGERS = 8
"""Clients outside that rules name, of which a way each is followed."""


class Way(Struct, frozen=True):
    """One packet, its client and target in words; without an incoming interface a process here sends it."""

    client: str
    target: str
    port: ServicePort
    packet: Packet
    named: bool = False

    def __str__(self) -> str:
        return f"{self.client} to {self.target} ({self.packet.to}) of {self.port.name}"


class Client(Struct, frozen=True):
    """Who sends: an address of theirs, and the interface that they come in by, "" for a process here.

    `named`: a client outside that a rule names, as a ban does.
    """

    who: str
    address: Address
    interface: str = ""
    named: bool = False

    def way(self, port: ServicePort, target: str, address: str, number: int) -> Way:
        to = ip_address(address)
        return Way(
            self.who,
            target,
            port,
            Packet(self.address, to, port.protocol.lower(), number, self.interface),
            self.named,
        )


class Hosts(Struct, frozen=True):
    """Who is where, seen from one node: addresses of its pods and of others, of nodes, of some outside.

    Another node's pods reach a node with their own node's address: the network plugin masquerades them.
    """

    pods: tuple[Address, ...]
    away: tuple[Address, ...]
    own: tuple[Address, ...]
    other_nodes: tuple[Address, ...]
    outside: tuple[Address, ...]

    @classmethod
    def of(
        cls,
        node: Inputs,
        cluster: ClusterState,
        pods: Sequence[Pod],
        family: IpFamily,
        scopes: Sequence[Scope],
        *,
        served: Set[int],
    ) -> Hosts:
        """From the cluster's objects; a local endpoint counts as a pod, and whom a rule names is outside,
        unless it is one of the addresses that are `served`.
        """
        name = node.facts.name
        running = [(pod.node, address) for pod in pods if not pod.host for address in pod.addresses]
        running = [(where, address) for where, address in running if f"ipv{address.version}" == family]
        here = [address for where, address in running if where == name] + [
            ip_address(entry.ip)
            for item in cluster.slices
            if item.family == family
            for entry in item.endpoints
            if entry.node_name == name
        ]
        nodes = [(each.name, ip_address(ip)) for each in cluster.nodes if (ip := each.internal_ip(family))]
        own = tuple(address for where, address in nodes if where == name)
        known = cls(
            pods=tuple(address for address in dict.fromkeys(here) if address not in own),
            away=tuple(address for where, address in running if where != name),
            own=own,
            other_nodes=tuple(address for where, address in nodes if where != name),
            outside=(ip_address(OUTSIDE[family]),),
        )
        named = (ip for scope in scopes for ip in scope.strangers(known.everyone | served))
        strangers = (
            ip
            for ip in dict.fromkeys(named)
            if f"ipv{ip.version}" == family and not (ip.is_loopback or ip.is_multicast or ip.is_unspecified)
        )
        return replace(known, outside=(*known.outside, *strangers))

    @property
    def everyone(self) -> frozenset[int]:
        """All addresses that packets to Services come from, as numbers."""
        known = (*self.pods, *self.away, *self.own, *self.other_nodes, *self.outside)
        return frozenset(map(number_of, known))


class Asked(Struct, frozen=True):
    """What foreign rules ask for, among whom, and a service port of each kind that differs for them."""

    scopes: Sequence[Scope]
    hosts: Hosts
    examples: Sequence[tuple[ServicePort, Categorized]]

    @classmethod
    def of(
        cls,
        node: Inputs,
        cluster: ClusterState,
        pods: Sequence[Pod],
        family: IpFamily,
        scopes: Sequence[Scope],
    ) -> Asked:
        """`scopes` are those of all foreign rules that can end or divert a packet."""
        ports = service_ports(cluster, family, node.version)
        texts = {ip for port in ports for ip in (port.cluster_ip, *port.external_ips, *port.lb_vips)}
        texts |= {entry.ip for item in cluster.slices for entry in item.endpoints}
        served = frozenset(map(number_of, texts))
        hosts = Hosts.of(node, cluster, pods, family, scopes, served=served)
        return cls(
            scopes,
            hosts,
            tuple(_examples(ports, node, cluster, scopes, clients=hosts.everyone, served=served)),
        )


class Surroundings(Struct, frozen=True):
    """The clients that a node sees, of each kind as many as the rules tell apart."""

    pods: tuple[Client, ...]
    processes: tuple[Client, ...]
    other_nodes: tuple[Client, ...]
    other_pods: tuple[Client, ...]
    outside: tuple[Client, ...]
    named: tuple[Client, ...]
    own: tuple[Address, ...]

    @classmethod
    def of(cls, hosts: Hosts, routing: Routing, scopes: Sequence[Scope]) -> Surroundings:
        """Those that the node has a route to; `scopes` are what the rules ask for."""
        reached = (_link(routing, ip) for ip in (*hosts.other_nodes, *hosts.outside[:1]))
        uplink = next(filter(None, reached), "")

        def each(who: str, found: Iterable[tuple[Address, str]]) -> tuple[Client, ...]:
            kinds: dict[object, Client] = {}
            for ip, link in found:
                one = {number_of(ip)}
                kind = tuple((s.names_addresses(one, one), s.names_interface(link)) for s in scopes)
                kinds.setdefault(kind, Client(who, ip, link))
            return tuple(kinds.values()) if uplink else ()

        strangers = [ip for ip in hosts.outside[1:] if _link(routing, ip) == uplink][:MOST_STRANGERS]
        links = [(ip, device) for ip in hosts.pods if (device := _link(routing, ip))]
        return cls(
            pods=each("pods on this node", links),
            processes=tuple(Client("processes on this node", ip) for ip in hosts.own[:1]),
            other_nodes=each("other nodes", ((ip, uplink) for ip in hosts.other_nodes)),
            other_pods=each("pods on other nodes", ((ip, uplink) for ip in hosts.away)),
            outside=each("clients outside", [(hosts.outside[0], uplink)]),
            named=tuple(Client(f"the client {ip}", ip, uplink, named=True) for ip in strangers),
            own=hosts.own,
        )


def _examples(
    ports: Iterable[ServicePort],
    node: Inputs,
    cluster: ClusterState,
    scopes: Sequence[Scope],
    *,
    clients: Set[int],
    served: Set[int],
) -> Iterator[tuple[ServicePort, Categorized]]:
    """One service port of each kind that differs for the rules: by its form, and by those that name it."""
    own = {number_of(ip) for ip in node.facts.node.internal_ips}
    among = [(s, s.names_addresses(clients)) for s in scopes if s.networks or s.ports]
    narrow = [each for each in among if each[1] or each[0].names_addresses(served | own, clients)]
    wide = len(among) < len(scopes)
    if not (narrow or wide):
        return
    seen: set[object] = set()

    @cache
    def asking(numbers: frozenset[int]) -> list[tuple[Scope, bool]]:
        return [each for each in narrow if each[0].names_port(numbers)]

    for port in ports:
        endpoints = endpoints_of(cluster, port, node.facts.node, node.version)
        numbers = frozenset({port.port, port.node_port, *(e.port for e in endpoints.reachable)} - {0})
        texts = (port.cluster_ip, *port.external_ips, *port.lb_vips, *(e.ip for e in endpoints.reachable))
        addresses = {*map(number_of, texts), *(own if port.node_port else ())}
        named = tuple(
            id(scope)
            for scope, of_clients in asking(numbers)
            if of_clients or scope.names_addresses(addresses, clients)
        )
        if not named and not wide:
            continue
        form = (
            port.protocol,
            bool(port.node_port),
            bool(port.external_ips),
            bool(port.lb_vips),
            port.source_ranges,
            port.internal_policy_local,
            port.external_policy_local,
            endpoints.has_any,
            frozenset((e.is_local, number_of(e.ip) in own) for e in endpoints.reachable),
        )
        if (form, named) not in seen:
            seen.add((form, named))
            yield port, endpoints


def ways_to(port: ServicePort, endpoints: Categorized, node: Inputs, around: Surroundings) -> Iterator[Way]:
    """Every kind of way to a service port that leads through the node."""
    inside = (*around.pods, *around.processes)
    everyone = (*inside, *around.outside, *around.named)
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
    kinds = {endpoint.is_local: endpoint for endpoint in endpoints.reachable}
    for endpoint in kinds.values():
        for client in inside:
            yield client.way(port, "an endpoint", endpoint.ip, endpoint.port)
    for endpoint in endpoints.reachable:
        if ip_address(endpoint.ip) in around.own:
            for client in around.other_nodes:
                yield client.way(port, "an endpoint in the node's network", endpoint.ip, endpoint.port)
        elif endpoint.is_local:
            for client in (*around.other_nodes, *around.other_pods):
                yield client.way(port, "an endpoint", endpoint.ip, endpoint.port)


def _link(routing: Routing, address: Address) -> str:
    """The interface by which the node reaches an address, "" for its own and for one without a route."""
    try:
        route = routing.lookup(address)
    except NotModelled:
        return ""
    return route.device if route and route.kind == "unicast" and route.device != LOOPBACK else ""
