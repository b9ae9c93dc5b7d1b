"""For every recorded node, Service, address and client the trace ends at the endpoints that the API implies,
each with its share, and is masqueraded where Kubernetes says so. So engine and trace prove each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import pytest

from kubewire.dataplane.core.cluster import ServicePort, service_ports
from kubewire.dataplane.core.endpoints import Categorized, Endpoint, categorize, endpoints_for
from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.trace import Start
from trace_golden import RICH, RICH_NFT, Bench, as_expected, bench, ends, recorded

EVERY_DAY = (RICH, RICH_NFT, "dataplane_nft/localhost-served-v1.37.2")
OUTSIDE: dict[IpFamily, tuple[str, ...]] = {
    "ipv4": ("203.0.113.77", "203.0.113.200", "198.51.100.9"),
    "ipv6": ("2001:db8:ffff::77",),
}


@dataclass(frozen=True)
class Case:
    """A client, and one of the Service's addresses."""

    start: Start
    kind: str
    address: str
    number: int


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize(
    ("name", "node"),
    [
        pytest.param(name, node, marks=() if name in EVERY_DAY else pytest.mark.slow)
        for name, node in recorded()
    ],
)
def test_every_service_from_everywhere(name: str, node: str, family: IpFamily) -> None:
    assert agree(bench(name, node, family)) or family == "ipv6"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *((RICH_NFT, version) for version in ("1.29.6", "1.31.0", "1.33.13", "1.34.4", "1.36.3", "1.37.2")),
        (RICH, "1.29.6"),
    ],
)
def test_every_generation_as_the_engine_has_it(name: str, version: str) -> None:
    """Through the expected dataplane, since what it says of older versions is held against them elsewhere."""
    assert agree(as_expected(bench(name, "rich-worker", "ipv4"), Version.parse(version)))


def agree(tracer: Bench) -> int:
    """How many traces were made; each is held against what the API implies."""
    seen = 0
    for port in service_ports(tracer.cluster, tracer.family, tracer.version):
        cached = endpoints_for(tracer.cluster, port, tracer.facts.name, tracer.version)
        endpoints = categorize(cached, port, tracer.facts.node, tracer.version)
        for case in cases(tracer, port, endpoints):
            trace = tracer.trace(case.start, case.address, case.number, port.protocol.lower())
            wanted = implied(tracer, port, endpoints, case)
            told = f"{port.name} {case}"
            assert sum(path.chance for path in trace.paths) == 1, told
            assert ends(trace) == pytest.approx(wanted, abs=1e-8), told
            for path in trace.paths:
                assert path.outcome is not None
                if path.outcome.packet.dnat:
                    end = path.outcome.packet.destination
                    masked = masqueraded(tracer, port, case, str(end))
                    assert was_masqueraded(path.steps) == masked, f"{told} {end}"
            seen += 1
    return seen


def cases(tracer: Bench, port: ServicePort, endpoints: Categorized) -> Iterator[Case]:
    """Every address of the Service from a pod, an endpoint itself, the node, and clients outside."""
    node_ip = tracer.facts.node_ip(port.family, tracer.config)
    addresses = [("cluster", port.cluster_ip, port.port)]
    addresses += [("external", ip, port.port) for ip in port.external_ips]
    addresses += [("lb", ip, port.port) for ip in port.lb_vips]
    if port.node_port and node_ip:
        addresses.append(("node port", node_ip, port.node_port))
    pod = "fd00:10:244:1::c8" if port.family == "ipv6" else "10.244.1.200"
    local = [tracer.pod(endpoint.ip) for endpoint in endpoints.reachable if endpoint.is_local][:1]
    clients = [tracer.pod(pod), *local, *map(tracer.outside, OUTSIDE[port.family])]
    if node_ip:
        clients.append(tracer.process())
    for kind, address, number in addresses:
        for client in clients:
            yield Case(client, kind, address, number)


def implied(tracer: Bench, port: ServicePort, endpoints: Categorized, case: Case) -> dict[str, float]:
    """Where the API's objects say that the packets go."""
    if case.kind == "cluster":
        return shares(endpoints, endpoints.local if port.internal_policy_local else endpoints.cluster)
    nft = tracer.config.mode == "nftables"
    local_only = endpoints.local if port.external_policy_local else endpoints.cluster
    address = f"[{case.address}]" if ":" in case.address else case.address
    unchanged = {f"{address}:{case.number}": 1.0}
    if case.kind == "node port" and not serves(tracer, port, case):
        # iptables refuses a node port without endpoints on every local address
        return unchanged if nft or local_only else shares(endpoints, ())
    if case.kind != "node port" and not case.start.interface and not nft and not endpoints.has_any:
        return unchanged  # KUBE-EXTERNAL-SERVICES hangs in INPUT and FORWARD, not in OUTPUT
    if not case.start.interface and not local_only and refused_before_dnat(tracer, case):
        return shares(endpoints, ())
    if case.kind == "lb" and not admitted(port, case) and firewalled(tracer, endpoints, case):
        return {"dropped": 1.0}
    inside = comes_from_pod(tracer, case) or not case.start.interface
    return shares(endpoints, endpoints.cluster if inside else local_only)


def firewalled(tracer: Bench, endpoints: Categorized, case: Case) -> bool:
    """Whether source ranges come to bear: in nftables mode also before a refusal for lack of endpoints."""
    if tracer.config.mode != "nftables":
        return endpoints.has_any
    if case.start.interface:
        return has(tracer.version, "nft-cluster-ips")  # 1.29 looks after DNAT, too late (issue 122614)
    return True


def refused_before_dnat(tracer: Bench, case: Case) -> bool:
    """Whether a process is refused for lack of endpoints before DNAT could help it (PR 132456)."""
    if tracer.config.mode != "nftables" or has(tracer.version, "nft-pre-dnat-chains"):
        return False
    return case.kind != "node port" or not has(tracer.version, "nft-cluster-ips")


def shares(endpoints: Categorized, used: tuple[Endpoint, ...]) -> dict[str, float]:
    if not used:
        return {"dropped" if endpoints.has_any else "rejected": 1}
    return {str(endpoint): 1 / len(used) for endpoint in used}


def serves(tracer: Bench, port: ServicePort, case: Case) -> bool:
    """Whether the node's address accepts node ports. What has no endpoints is refused on all addresses."""
    cidrs = tracer.config.node_port_cidrs(port.family, tracer.facts.node, tracer.version)
    return any(ip_address(case.address) in ip_network(cidr) for cidr in cidrs)


def admitted(port: ServicePort, case: Case) -> bool:
    """Whether loadBalancerSourceRanges let the client in."""
    return not port.source_ranges or any(case.start.address in ip_network(c) for c in port.source_ranges)


def comes_from_pod(tracer: Bench, case: Case) -> bool:
    """Whether kube-proxy's detector takes the client for a local pod."""
    detector = tracer.config.detector(tracer.family, tracer.facts.node)
    if not detector.implemented:
        return False
    if detector.kind == "cidr":
        return case.start.address in ip_network(detector.value)
    return case.start.interface.startswith(detector.value)


def masqueraded(tracer: Bench, port: ServicePort, case: Case, endpoint: str) -> bool:
    if endpoint == str(case.start.address):
        return True
    from_pod = comes_from_pod(tracer, case)
    if case.kind == "cluster":
        implemented = tracer.config.detector(tracer.family, tracer.facts.node).implemented
        return tracer.config.masquerade_all or (implemented and not from_pod)
    return not port.external_policy_local or (not from_pod and not case.start.interface)


def was_masqueraded(steps: object) -> bool:
    return any(word in str(steps) for word in ("-j MASQUERADE", "masquerade fully-random"))
