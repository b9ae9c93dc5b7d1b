"""A node's ipvs mode of one family against what kube-proxy must have written there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_interface, ip_network

from kubewire.dataplane.core.compare import UNASKED, Item, compare_items, listed, whole
from kubewire.dataplane.core.findings import Check, Note, Place
from kubewire.dataplane.core.harm import Effects
from kubewire.dataplane.core.iproute import address_text
from kubewire.dataplane.core.model import Dataplane, Element, Origin, RealServer, Set, VirtualServer
from kubewire.dataplane.iptables.compare import Dialect, compare_iptables
from kubewire.dataplane.ipvs import names
from kubewire.dataplane.ipvs.ipset import create_line
from kubewire.dataplane.ipvs.ipvsadm import real_lines, server_line, service_text
from kubewire.dataplane.ipvs.service import SOURCE

IPVS = Dialect(names.owned, SOURCE)


def compare_ipvs(
    expected: Dataplane,
    observed: Dataplane,
    foreign: Effects,
    place: Place,
    exclude: Sequence[str] = (),
) -> tuple[list[Check], list[Note]]:
    """Rules, ipsets, virtual and real servers, kube-ipvs0, sysctls; nothing missing, nothing extra.

    `exclude`: the CIDRs (ipvs.excludeCIDRs) in which kube-proxy leaves foreign virtual servers alone.
    Notes name what no packet reaches: foreign sets, real servers that are being removed.
    """
    checks, notes = compare_iptables(expected, observed, foreign, place, IPVS)
    work = _Comparison(expected, observed, place, exclude)
    for part, label, good in work.parts():
        why = f"all that kube-proxy keeps there, and nothing else ({SOURCE})"
        checks += [*part, place.check("ipvs.table", label, why, good, whole(part, good))]
    checks += work.sysctls()
    return checks, notes + work.notes


class _Comparison:
    def __init__(
        self, expected: Dataplane, observed: Dataplane, place: Place, exclude: Sequence[str]
    ) -> None:
        self.expected, self.observed, self.place = expected, observed, place
        self.exclude = [ip_network(cidr, strict=False) for cidr in exclude]
        self.notes: list[Note] = []

    def parts(self) -> Iterator[tuple[list[Check], str, str]]:
        """The checks of each part, its label, and its content when all checks pass."""
        sets, servers = (
            self.expected.sets,
            [server for server in self.expected.servers if not server.optional],
        )
        members = sum(len(item.elements) for item in sets)
        reals = sum(len(server.servers) for server in servers)
        family = self.place.family
        yield list(self.sets()), f"ipset {family}", f"{len(sets)} sets, {members} members"
        text = f"{len(servers)} virtual servers, {reals} real servers"
        yield list(self.servers()), f"ipvsadm {family}", text
        addresses = sum(len(link.addresses) for link in self.expected.links)
        yield list(self.links()), f"{names.INTERFACE} {family}", f"{addresses} addresses"

    def say(self, text: str) -> None:
        self.notes.append(Note(text, self.place.node))

    def sets(self) -> Iterator[Check]:
        found = {item.name: item for item in self.observed.sets}
        for item in self.expected.sets:
            yield from self.set(item, found.pop(item.name, None))
        ours = [name for name in found if name.startswith("KUBE-")]
        if ours:
            self.say(f"ipset: sets that this kube-proxy does not use: {listed(ours)}")
        foreign = [name for name in found if name not in ours]
        if foreign:
            self.say(f"ipset: sets of an unknown owner, left alone: {listed(foreign)}")

    def set(self, item: Set, seen: Set | None) -> Iterator[Check]:
        label = f"ipset {item.name}"
        origin = item.origin or Origin("", "", SOURCE, "ipvs.set")
        wanted = create_line(item, volatile=False)
        actual = create_line(seen, volatile=False) if seen else f"(no set {item.name})"
        yield self.place.check("ipvs.set", label, origin.reason, wanted, actual)
        items = [_item(element, element.key) for element in item.elements]
        texts = [element.key for element in seen.elements] if seen else []
        yield from compare_items(
            self.place,
            label,
            items,
            texts,
            render=lambda key: f"add {item.name} {key}",
            absent="" if seen else actual,
        )

    def servers(self) -> Iterator[Check]:
        wanted: dict[str, list[VirtualServer]] = defaultdict(list)
        for server in self.expected.servers:
            wanted[service_text(server)].append(server)
        found = {service_text(server): server for server in self.observed.servers}
        leaving: list[str] = []
        for key, candidates in wanted.items():
            seen = found.pop(key, None)
            if seen is not None or not all(server.optional for server in candidates):
                yield from self.server(key, _likest(candidates, seen), seen, leaving)
        if leaving:
            text = f"{len(leaving)} real servers on their way out, with weight 0 until their connections end"
            self.say(f"ipvsadm: {text}: {listed(leaving)}")
        for key, server in found.items():
            yield from self.unasked(key, server)

    def server(
        self, key: str, wanted: VirtualServer, seen: VirtualServer | None, leaving: list[str]
    ) -> Iterator[Check]:
        label, place = f"ipvsadm {key}", self.place
        origin = wanted.origin or Origin("", "", SOURCE, "ipvs.virtual-server")
        items = [Item(server_line(wanted), origin)]
        texts = [server_line(seen)] if seen else []
        yield from compare_items(place, label, items, texts, render=str, service=origin.service)
        lines = real_lines(wanted, wanted.servers)
        items = [Item(line, real.origin or origin) for line, real in zip(lines, wanted.servers, strict=True)]
        there = seen.servers if seen else ()
        going = [real for real in there if _is_leaving(real, wanted)]
        texts = real_lines(wanted, [real for real in there if real not in going])
        leaving += real_lines(wanted, going)
        yield from compare_items(
            place,
            label,
            items,
            texts,
            render=str,
            service=origin.service,
            absent="" if seen else f"(no virtual server {key})",
        )

    def unasked(self, key: str, server: VirtualServer) -> Iterator[Check]:
        """A virtual server that no Service asks for: kube-proxy deletes it, but in ipvs.excludeCIDRs."""
        if server.address and any(ip_address(server.address) in network for network in self.exclude):
            self.say(f"ipvsadm: {key} is not kube-proxy's, left alone (ipvs.excludeCIDRs)")
            return
        lines = [server_line(server), *real_lines(server, server.servers)]
        yield self.place.unasked(f"ipvsadm {key}", UNASKED, "\n".join(lines))

    def links(self) -> Iterator[Check]:
        found = {link.name: link for link in self.observed.links}
        family = self.place.family
        for link in self.expected.links:
            seen, label = found.get(link.name), f"{link.name} {family}"
            origin = link.origin or Origin("", "", SOURCE, "ipvs.interface")
            actual = link.name if seen else "(missing)"
            yield self.place.check("ipvs.interface", label, origin.reason, link.name, actual)
            if seen and seen.up and not link.up:
                self.say(f"{link.name} is up and may answer for service addresses; kube-proxy leaves it down")
            keys = {element.key for element in link.addresses}
            texts = [
                element.key
                for element in (seen.addresses if seen else ())
                if element.key in keys or not _kept_anyway(element.key)
            ]
            items = [_item(element, element.key) for element in link.addresses]
            yield from compare_items(
                self.place,
                label,
                items,
                texts,
                render=lambda key: address_text(Element(key), family),
                absent="" if seen else "(missing)",
            )

    def sysctls(self) -> Iterator[Check]:
        found = {item.name: item.value for item in self.observed.sysctls}
        place = Place("ipvs", self.place.node, "")
        for item in self.expected.sysctls:
            origin = item.origin or Origin("", "", SOURCE, "ipvs.sysctl")
            wanted, value = f"{item.name} = {item.value}", found.get(item.name)
            if value is None:
                why = f"the snapshot's facts.json does not tell {item.name}"
                yield place.skip("ipvs.sysctl", item.name, why, wanted)
            else:
                actual = f"{item.name} = {value}"
                yield place.check("ipvs.sysctl", item.name, origin.reason, wanted, actual)


def _item(element: Element, text: str) -> Item:
    return Item(text, element.origin or Origin("", "", "", "ipvs.set"), optional=element.optional)


def _likest(candidates: Sequence[VirtualServer], seen: VirtualServer | None) -> VirtualServer:
    """Of several Services with one address, the one that kube-proxy probably synced last."""
    if seen is None or len(candidates) == 1:
        return candidates[0]

    def unlike(server: VirtualServer) -> tuple[int, bool]:
        wanted = set(real_lines(server, server.servers))
        there = set(real_lines(server, [real for real in seen.servers if not _is_leaving(real, server)]))
        return len(wanted ^ there), server_line(server) != server_line(seen)

    return min(candidates, key=unlike)


def _is_leaving(real: RealServer, wanted: VirtualServer) -> bool:
    """A removed TCP endpoint keeps its connections for a while (graceful_termination.go)."""
    if wanted.protocol != "tcp" or real.weight:
        return False
    return (real.address, real.port) not in {(endpoint.address, endpoint.port) for endpoint in wanted.servers}


def _kept_anyway(key: str) -> bool:
    """Addresses that kube-proxy does not remove from kube-ipvs0 (isValidForSet in netlink_linux.go)."""
    ip = ip_interface(key).ip
    return ip.is_loopback or (ip.version == 6 and ip.is_link_local)
