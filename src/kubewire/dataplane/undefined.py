"""What kube-proxy leaves to chance: every result that it can come to is right.

It goes through a Service's EndpointSlices in the order of a Go map (pkg/proxy/endpointslicecache.go), and
through the Services likewise. Which of two descriptions of one endpoint counts, and which of two Services
with one address answers, can differ from node to node and from sync to sync.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

from msgspec.structs import replace

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.compare import listed
from kubewire.dataplane.core.endpoints import categorize, endpoints_for
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Check, IpFamily, Note
from kubewire.dataplane.core.objects import EndpointSlice
from kubewire.dataplane.node import Inputs

Key = tuple[str, str]
Order = tuple[EndpointSlice, ...]
Orders = Mapping[Key, tuple[Order, ...]]
"""By (namespace, Service): orders of its slices, one for each different result; the first is the API's."""

_ALL_ORDERS = 4


def undefined_orders(cluster: ClusterState, node: Inputs, family: IpFamily) -> Orders:
    """The Services whose rules on this node depend on the order of their slices."""
    doubtful = {
        key: shared
        for key, slices in cluster.slices_of.items()
        if len(slices) > 1 and (shared := _sharing(slices, family))
    }
    ports: dict[Key, list[ServicePort]] = defaultdict(list)
    for port in service_ports(cluster, family, node.version) if doubtful else ():
        ports[port.namespace, port.service].append(port)
    found: dict[Key, tuple[Order, ...]] = {}
    for key, shared in doubtful.items():
        rest = [item for item in cluster.slices_of[key] if item not in shared]
        outcomes: dict[object, Order] = {}
        for order in _orders(shared):
            state = replace(cluster, slices=(*order, *rest))
            outcomes.setdefault(_outcome(state, ports[key], node), state.slices)
        if len(outcomes) > 1:
            found[key] = tuple(outcomes.values())
    return found


def _sharing(slices: Sequence[EndpointSlice], family: IpFamily) -> list[EndpointSlice]:
    """The slices of that family that have an address which another one has too."""
    own = [item for item in slices if item.family == family]
    count = Counter(ip for item in own for ip in {entry.ip for entry in item.endpoints})
    return [item for item in own if any(count[entry.ip] > 1 for entry in item.endpoints)]


def _orders(slices: Sequence[EndpointSlice]) -> Iterator[Order]:
    """All orders of a few slices; of more those in which each one is the first and the last."""
    if len(slices) <= _ALL_ORDERS:
        yield from permutations(slices)
    else:
        yield from ((*slices[turn:], *slices[:turn]) for turn in range(len(slices)))


def _outcome(state: ClusterState, ports: Sequence[ServicePort], node: Inputs) -> object:
    """What the rules of these service ports depend on."""
    outcome = []
    for port in ports:
        known = endpoints_for(state, port, node.facts.name, node.version)
        chosen = categorize(known, port, node.facts.node, node.version)
        lists = (chosen.cluster, chosen.local, chosen.reachable, [e for e in known if e.is_local])
        outcome.append((chosen.has_any, *(tuple((str(e), e.is_local) for e in each) for each in lists)))
    return tuple(outcome)


def reading(cluster: ClusterState, chosen: Mapping[Key, Order]) -> ClusterState:
    """The cluster as a kube-proxy sees it that takes these Services' slices in this order."""
    kept = [item for item in cluster.slices if (item.namespace, item.service) not in chosen]
    return replace(cluster, slices=(*kept, *(item for order in chosen.values() for item in order)))


def readings(cluster: ClusterState, orders: Orders) -> Iterator[ClusterState]:
    """The cluster in as many readings as it takes for each Service to have had each of its orders, from the
    second on: the first is the cluster itself."""
    for turn in range(1, max(map(len, orders.values()), default=0)):
        yield reading(cluster, {key: each[turn % len(each)] for key, each in orders.items()})


def likeliest(orders: Orders, tried: Sequence[Sequence[Check]]) -> dict[Key, Order]:
    """For each Service the order that fits what is there: fewest failed checks, then most that passed.

    `tried` are the checks of the cluster and of each of its readings.
    """
    scores: list[Counter[tuple[str, str]]] = [
        Counter((check.service.partition(":")[0], check.status) for check in checks) for checks in tried
    ]

    def misfit(key: Key, turn: int) -> tuple[int, int]:
        name = "/".join(key)
        return scores[turn][name, "failed"], -scores[turn][name, "passed"]

    return {key: each[min(range(len(each)), key=lambda n: misfit(key, n))] for key, each in orders.items()}


def order_notes(orders: Orders, node: str, family: IpFamily) -> list[Note]:
    """What is undefined about each Service's endpoints."""
    notes = []
    for (namespace, service), each in orders.items():
        count = Counter(entry.ip for item in each[0] if item.family == family for entry in item.endpoints)
        twice = listed([ip for ip, times in count.items() if times > 1])
        text = f"{namespace}/{service}: its EndpointSlices differ on {twice}"
        notes.append(Note(f"{text}, and kube-proxy leaves it to chance which one counts: any is right", node))
    return notes


def shared_addresses(cluster: ClusterState, family: IpFamily, version: Version) -> list[Note]:
    """Addresses and ports that several Services claim: each of them may answer."""
    claims: dict[tuple[str, int, str], dict[str, None]] = defaultdict(dict)
    for port in service_ports(cluster, family, version):
        for ip in (port.cluster_ip, *port.external_ips, *port.lb_vips):
            claims[ip, port.port, port.protocol].setdefault(f"{port.namespace}/{port.service}")
    chance = "kube-proxy leaves it to chance which one answers: any is right"
    return [
        Note(f"{ip} port {number}/{protocol} is an address of {listed(list(names))}, and {chance}")
        for (ip, number, protocol), names in claims.items()
        if len(names) > 1
    ]
