"""What one service port adds in ipvs mode: set members, virtual servers, addresses (syncProxyRules)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from msgspec import Struct

from kubewire.core.errors import LabError
from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.endpoints import Categorized, Endpoint
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Element, Origin, RealServer, VirtualServer
from kubewire.dataplane.ipvs import names

SOURCE = "pkg/proxy/ipvs/proxier.go"


class NodeAddress(Struct, frozen=True):
    """An address that accepts node ports; `sure`: regardless of when kube-proxy last synced."""

    ip: str
    sure: bool = True


class NodeContext(Struct, frozen=True):
    """What every service port of one node and family depends on.

    `local`: the node's addresses on other interfaces than kube-ipvs0. `node_ip` decides whether the node
    itself is in a load balancer's source ranges.
    """

    family: IpFamily
    scheduler: str
    local: frozenset[str]
    node_port_ips: tuple[NodeAddress, ...]
    node_ip: str


class Member(Struct, frozen=True):
    """A member of the set of that (IPv4) name; `element` None: kube-proxy adds it and ipset refuses it."""

    set: str
    element: Element | None


class Blocked(Struct, frozen=True):
    """A load balancer address that the node itself must not use."""

    ip: str
    protocol: str
    port: int
    origin: Origin


class Programmed(Struct, frozen=True):
    """All objects of one service port; `bound` are addresses for kube-ipvs0."""

    members: tuple[Member, ...]
    servers: tuple[VirtualServer, ...]
    bound: tuple[Element, ...]
    blocked: tuple[Blocked, ...]


def program_service(
    port: ServicePort, cached: Sequence[Endpoint], chosen: Categorized, around: NodeContext
) -> Programmed:
    """One service port's share; `cached` are all its endpoints, `chosen` those that serve.

    Raises LabError for a protocol that no Service can have.
    """
    if port.protocol.lower() not in names.NODE_PORTS:
        raise LabError(f"{port.name} has the protocol {port.protocol!r}", where="cluster.json")
    work = _Work(port, cached, chosen, around)
    return Programmed(
        tuple(work.members()), tuple(work.servers()), tuple(work.bound()), tuple(work.blocked())
    )


def bound_addresses(port: ServicePort, local: frozenset[str]) -> Iterator[str]:
    """The addresses of a service port that belong on kube-ipvs0: those that no other interface has."""
    yield port.cluster_ip
    yield from (ip for ip in (*port.external_ips, *port.lb_vips) if ip not in local)


class _Work:
    def __init__(
        self, port: ServicePort, cached: Sequence[Endpoint], chosen: Categorized, around: NodeContext
    ) -> None:
        self.port, self.cached, self.chosen, self.around = port, cached, chosen, around
        self.name, self.protocol = port.name, port.protocol.lower()
        self.from_node = any(ip_address(around.node_ip) in ip_network(cidr) for cidr in port.source_ranges)

    def origin(self, check: str, why: str) -> Origin:
        return Origin(self.name, why, SOURCE, f"ipvs.{check}")

    def pair(self, ip: str, number: int) -> str:
        return f"{ip},{self.protocol}:{number}"

    def members(self) -> Iterator[Member]:
        """Members of all sets but KUBE-IPVS-IPS, which holds what kube-ipvs0 has."""
        port = self.port
        origin = self.origin("hairpin", "a local pod that reaches itself through the Service is masqueraded")
        for endpoint in self.cached:
            if endpoint.is_local:
                key = f"{self.pair(endpoint.ip, endpoint.port)},{endpoint.ip}"
                yield Member(names.LOOP_BACK, Element(key, origin=origin))
        origin = self.origin("cluster-ip", f"{self.name} is reached at its cluster IP")
        yield Member(names.CLUSTER_IP, Element(self.pair(port.cluster_ip, port.port), origin=origin))
        origin = self.origin("external", f"{self.name} is reached at its external IP")
        target = names.EXTERNAL_IP_LOCAL if port.external_policy_local else names.EXTERNAL_IP
        for ip in port.external_ips:
            yield Member(target, Element(self.pair(ip, port.port), origin=origin))
        for ip in port.lb_vips:
            yield from self.load_balancer(ip)
        if not (port.node_port and not self.around.node_port_ips):
            yield from self.node_ports()

    def load_balancer(self, ip: str) -> Iterator[Member]:
        port, pair = self.port, self.pair(ip, self.port.port)
        origin = self.origin("external", f"{self.name} is reached at its load balancer's address")
        yield Member(names.LB, Element(pair, origin=origin))
        if port.external_policy_local:
            origin = self.origin("external", "policy Local keeps the client's address")
            yield Member(names.LB_LOCAL, Element(pair, origin=origin))
        if not port.source_ranges:
            return
        origin = self.origin("firewall", "only loadBalancerSourceRanges may use the load balancer")
        yield Member(names.LB_FW, Element(pair, origin=origin))
        for cidr in port.source_ranges:
            yield Member(names.LB_SOURCE_CIDR, self.source(pair, cidr, origin))
        if self.from_node:
            origin = self.origin("firewall", "the node is in a source range, and so is what it sends itself")
            yield Member(names.LB_SOURCE_IP, Element(f"{pair},{ip}", origin=origin))

    @staticmethod
    def source(pair: str, cidr: str, origin: Origin) -> Element | None:
        """A source range as ipset prints it; it can't hold the zero CIDR."""
        network = ip_network(cidr)
        if network.prefixlen == 0:
            return None
        return Element(
            f"{pair},{network.network_address if network.num_addresses == 1 else network}", origin=origin
        )

    def node_ports(self) -> Iterator[Member]:
        port = self.port
        if port.node_port:
            origin = self.origin("nodeport", f"{self.name} is reached at node port {port.node_port}")
            sets = [names.NODE_PORTS[self.protocol]]
            if port.external_policy_local:
                sets.append(names.NODE_PORTS_LOCAL[self.protocol])
            for target in sets:
                if self.protocol != "sctp":
                    yield Member(target, Element(str(port.node_port), origin=origin))
                    continue
                for address in self.around.node_port_ips:
                    key = self.pair(address.ip, port.node_port)
                    yield Member(target, Element(key, origin=origin, optional=not address.sure))
        if port.health_check_node_port:
            origin = self.origin("health-check", "load balancers probe this port to find local endpoints")
            yield Member(names.HEALTH_CHECK, Element(str(port.health_check_node_port), origin=origin))

    def servers(self) -> Iterator[VirtualServer]:
        """A virtual server for each address and port at which the service port is reached."""
        port = self.port
        why = f"{self.name} is reached at its cluster IP"
        yield self.server(port.cluster_ip, port.port, why, local=port.internal_policy_local)
        local = port.external_policy_local
        for ip in port.external_ips:
            yield self.server(ip, port.port, f"{self.name} is reached at its external IP", local=local)
        for ip in port.lb_vips:
            why = f"{self.name} is reached at its load balancer's address"
            yield self.server(ip, port.port, why, local=local)
        if port.node_port:
            why = f"{self.name} is reached at node port {port.node_port} of each address that the node has"
            for address in self.around.node_port_ips:
                yield self.server(address.ip, port.node_port, why, local=local, optional=not address.sure)

    def server(self, ip: str, number: int, why: str, *, local: bool, optional: bool = False) -> VirtualServer:
        scheduler = self.around.scheduler
        return VirtualServer(
            family=self.around.family,
            protocol=self.protocol,
            address=ip,
            port=number,
            scheduler=scheduler,
            persistent_seconds=self.port.sticky_seconds,
            flags=("-b mh-port",) if scheduler == "mh" else (),
            servers=self.real_servers(local=local),
            origin=self.origin("virtual-server", why),
            optional=optional,
        )

    def real_servers(self, *, local: bool) -> tuple[RealServer, ...]:
        """Local endpoints where the policy is Local and there are any, else all (PR 97081)."""
        only = local and bool(self.chosen.local)
        why = f"it is an endpoint of {self.name}"
        if only:
            why = f"{why} on this node, and the policy is Local"
        elif local:
            why = f"{why}; the policy is Local, but without an endpoint on the node ipvs mode uses all"
        origin = self.origin("real-server", why)
        return tuple(
            RealServer(endpoint.ip, endpoint.port, origin=origin)
            for endpoint in (self.chosen.local if only else self.chosen.cluster)
        )

    def bound(self) -> Iterator[Element]:
        origin = self.origin("address", f"{self.name}'s address must be local for ipvs to see its packets")
        for ip in bound_addresses(self.port, self.around.local):
            yield Element(ip, origin=origin)

    def blocked(self) -> Iterator[Blocked]:
        if not self.port.source_ranges or self.from_node:
            return
        origin = self.origin("firewall", "the node is in no source range (issue 119656)")
        for ip in self.port.lb_vips:
            yield Blocked(ip, self.protocol, self.port.port, origin)
