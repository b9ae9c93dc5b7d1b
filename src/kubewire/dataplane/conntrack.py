"""conntrack's UDP and SCTP entries: clients that are bound to an endpoint that is gone. Pure.

A connection's first packet chooses its endpoint; from then on the entry translates, whatever the rules
say. A UDP sender that goes on renews the entry with each packet (kubernetes#139628, #125467).
Source: pkg/proxy/conntrack/cleanup.go, which removes such entries of UDP at each sync.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from msgspec import Struct, field

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.connections import Entry, Tuple, read_entries
from kubewire.dataplane.core.endpoints import endpoints_for
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import FAMILIES, Check, Note, Place
from kubewire.dataplane.core.objects import family_of, with_port
from kubewire.dataplane.core.snapshot import CONNTRACK, CUT, Snapshot
from kubewire.dataplane.node import Inputs

STALE = "conntrack.stale"
_SHOWN, _MOST = 3, 100


class Frontend(Struct):
    """A Service address or node port: the names of its service ports and their endpoints that serve."""

    names: list[str] = field(default_factory=list)
    endpoints: set[Tuple] = field(default_factory=set)


def check_conntrack(snapshot: Snapshot, inputs: Mapping[str, Inputs]) -> tuple[list[Check], list[Note]]:
    """One failed check for each Service address and dead endpoint of a node, else one passed or skipped.

    An entry is stale if its destination is a Service's and what answers is no endpoint that serves, or if no
    Service has that address of a Service network any more; also one without a translation and an answer, to a
    Service that has endpoints: it was made before the Service had rules.
    """
    checks: list[Check] = []
    notes: list[Note] = []
    known: dict[Version, _Services] = {}
    for name, node in inputs.items():
        place, text = Place("conntrack", name, ""), node.snapshot.files.get(CONNTRACK)
        if text is None or node.config.mode == "ipvs":
            why = node.snapshot.errors.get(CONNTRACK) or f"the snapshot has no {CONNTRACK}"
            if text is not None:
                why = "in ipvs mode the connections of ipvs, not conntrack, bind a client to an endpoint"
            checks.append(place.skip(STALE, CONNTRACK, why))
            continue
        if node.version not in known:
            known[node.version] = _Services(snapshot.state, node.version)
        stale, more = _stale(text, known[node.version], node)
        checks += [_told(name, node.version, group) for group in stale]
        if more:
            notes.append(Note(f"{CONNTRACK}: {more} more stale entries, to other addresses", name))
        if text.rpartition("\n" + CUT)[1]:
            notes.append(Note(f"{CONNTRACK} is cut: the entries after that were not judged", name))
        if not stale:
            good = "no entry of UDP or SCTP that binds a client to a dead endpoint"
            checks.append(place.check(STALE, CONNTRACK, good, good, good))
    return checks, notes


class _Services:
    """What Services listen on for UDP and SCTP, and what serves there."""

    def __init__(self, cluster: ClusterState, version: Version) -> None:
        self.by_address: dict[tuple[str, Tuple], Frontend] = {}
        self.by_node_port: dict[tuple[str, str, int], Frontend] = {}
        self.networks = [ip_network(cidr) for cidr in cluster.service_cidrs]
        for family in FAMILIES:
            for port in service_ports(cluster, family, version):
                if port.protocol in ("UDP", "SCTP"):
                    self._add(cluster, port, version)

    def _add(self, cluster: ClusterState, port: ServicePort, version: Version) -> None:
        protocol = port.protocol.lower()
        serving = {(e.ip, e.port) for e in endpoints_for(cluster, port, "", version) if e.serving or e.ready}
        addresses = (port.cluster_ip, *port.external_ips, *port.lb_vips)
        found = [self.by_address.setdefault((protocol, (ip, port.port)), Frontend()) for ip in addresses]
        if port.node_port:
            key = (protocol, port.family, port.node_port)
            found.append(self.by_node_port.setdefault(key, Frontend()))
        for frontend in found:
            frontend.names.append(port.name)
            frontend.endpoints |= serving

    def frontend(self, entry: Entry, own: frozenset[str]) -> Frontend | None:
        """What the entry's client sends to; `own` are the node's addresses that accept node ports."""
        address, port = entry.destination
        found = self.by_address.get((entry.protocol, entry.destination))
        if found is None and address in own:
            found = self.by_node_port.get((entry.protocol, family_of(address), port))
        return found

    def in_network(self, address: str) -> bool:
        ip = ip_address(address)
        return any(ip.version == network.version and ip in network for network in self.networks)


class _Group(Struct):
    """The stale entries of one Service address and target."""

    frontend: Frontend
    entries: list[Entry] = field(default_factory=list)
    count: int = 0


def _stale(text: str, services: _Services, node: Inputs) -> tuple[list[_Group], int]:
    """The stale entries by Service address and target, and how many more there are of other ones."""
    own = frozenset(
        ip
        for family in FAMILIES
        for ip in node.facts.node_port_ips(
            node.config.node_port_cidrs(family, node.facts.node, node.version), family
        )
        if not ip_address(ip).is_loopback
    )
    groups: dict[tuple[str, Tuple, Tuple], _Group] = {}
    more = 0
    for entry in read_entries(text):
        frontend = services.frontend(entry, own)
        translated = entry.target != entry.destination
        if frontend is None:
            if not translated or not services.in_network(entry.destination[0]):
                continue
            frontend = Frontend()
        elif entry.target in frontend.endpoints:
            continue
        if not translated and (entry.replied or not frontend.endpoints):
            continue
        key = (entry.protocol, entry.destination, entry.target)
        if key not in groups and len(groups) == _MOST:
            more += 1
            continue
        group = groups.setdefault(key, _Group(frontend))
        group.count += 1
        if len(group.entries) < _SHOWN:
            group.entries.append(entry)
    return list(groups.values()), more


def _told(node: str, version: Version, group: _Group) -> Check:
    first, frontend = group.entries[0], group.frontend
    names = ", ".join(frontend.names)
    to, target = with_port(*first.destination), with_port(*first.target)
    where = "that address itself, without a translation" if first.target == first.destination else target
    serving = sorted(with_port(*endpoint) for endpoint in frontend.endpoints)
    wanted = f"an entry to {', '.join(serving[:_SHOWN])}" if serving else "(no entry)"
    wanted += f" or {len(serving) - _SHOWN} more" if len(serving) > _SHOWN else ""
    clients = ", ".join(f"{e.client[0]} (port {e.client[1]}, for {e.seconds} s)" for e in group.entries)
    more = f" and {group.count - len(group.entries)} more" if group.count > len(group.entries) else ""
    why = f"what {clients}{more} sends to {to}/{first.protocol} goes to {where}, {_gone(first, frontend)}; "
    why += f"each packet renews the entry. {_left(first, frontend, version)}"
    observed = "\n".join(e.text for e in group.entries) + (f"\n{more.strip()}" if more else "")
    place = Place("conntrack", node, family_of(first.destination[0]))
    label = f"{to}/{first.protocol} → {target}"
    return place.check(STALE, label, why, wanted, observed, ok=False, service=names)


def _gone(entry: Entry, frontend: Frontend) -> str:
    names = " and ".join(frontend.names)
    if not frontend.names:
        return "and no Service has that address and port any more"
    if entry.target == entry.destination:
        return f"where nothing answers: the entry is older than the rules of {names}"
    return f"which is no endpoint of {names} that serves"


def _left(entry: Entry, frontend: Frontend, version: Version) -> str:
    """Why kube-proxy left it."""
    if entry.protocol == "sctp":
        return "kube-proxy removes no entries of SCTP (kubernetes#108523)"
    if not frontend.names:
        return "kube-proxy leaves the entries of a deleted Service before kubernetes#141371"
    if not frontend.endpoints and (1, 32) <= (version.major, version.minor) < (1, 37):
        return "kube-proxy 1.32 to 1.36 leaves the entries of a Service without endpoints (kubernetes#139628)"
    return "kube-proxy removes such entries when it syncs, and has not done so"
