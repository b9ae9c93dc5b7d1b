"""Probe packets: what a node's rules do to the first packet of a connection, by the trace alone.

Independent of the comparison that is put to the test: the trace walks the dump rule by rule and knows nothing
of what should be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

from kubewire.core.errors import KubewireError
from kubewire.dataplane.core.cluster import service_ports
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.trace import Start
from trace_golden import Bench, bench_of, edited

Ends = dict[tuple[str, str, str], Fraction]
Probe = tuple[Start, str, int, str]
CLIENTS = {"ipv4": ("10.244.1.200", "203.0.113.77"), "ipv6": ("fd00:10:244:1::c8", "2001:db8:ffff::77")}


def meets(snapshot: Snapshot, node: str, file: str, family: IpFamily) -> Callable[[str], bool | None]:
    """Whether any probe ends otherwise than in the healthy dump; None where no probe can tell.

    None that the trace can't follow, in either dump, tells anything.
    """
    tracer = bench_of(snapshot, node, family)
    probes = list(_probes(tracer))
    healthy = [_ends(tracer, probe) for probe in probes]

    def differs(dump: str) -> bool | None:
        try:
            changed = bench_of(edited(snapshot, node, file, lambda _: dump), node, family)
            pairs = [(ends, _ends(changed, p)) for p, ends in zip(probes, healthy, strict=True)]
        except KubewireError:
            return None
        known = [pair for pair in pairs if not any(fate == "refused" for end in pair for fate, *_ in end)]
        return any(before != after for before, after in known) if known else None

    return differs


def _probes(tracer: Bench) -> Iterator[Probe]:
    """Every address of every Service, from a pod, from outside and from the node."""
    node_ip = tracer.facts.node_ip(tracer.family, tracer.config)
    pod, outside = CLIENTS[tracer.family]
    clients = [tracer.pod(pod), tracer.outside(outside), *([tracer.process()] if node_ip else [])]
    for port in service_ports(tracer.cluster, tracer.family, tracer.version):
        addresses = [(ip, port.port) for ip in (port.cluster_ip, *port.external_ips, *port.lb_vips)]
        addresses += [(node_ip, port.node_port)] if port.node_port and node_ip else []
        for address, at in addresses:
            yield from ((client, address, at, port.protocol.lower()) for client in clients)


def _ends(tracer: Bench, probe: Probe) -> Ends:
    """How likely each end is: its fate, source and destination."""
    found: Ends = {}
    for path in tracer.trace(*probe).paths:
        assert path.outcome is not None
        packet = path.outcome.packet
        key = path.outcome.fate, str(packet.source), packet.to
        found[key] = found.get(key, Fraction(0)) + path.chance
    return found
