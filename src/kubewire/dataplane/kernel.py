"""The kernel's settings beside the rules: sysctls without which the right rules don't work. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import islice
from typing import Any

from msgspec import Struct

from kubewire.core.errors import LabError
from kubewire.dataplane.core.facts import FORWARDING, LOCALNET
from kubewire.dataplane.core.findings import FAMILIES, Check, IpFamily, Note, Place
from kubewire.dataplane.core.iproute import ADDRESSES, ROUTES
from kubewire.dataplane.core.localhost import on_localhost
from kubewire.dataplane.core.packet import NotModelled
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.node import Inputs

SYSCTL, FULL = "kernel.sysctl", "conntrack.full"
BRIDGED: dict[IpFamily, str] = {
    "ipv4": "net.bridge.bridge-nf-call-iptables",
    "ipv6": "net.bridge.bridge-nf-call-ip6tables",
}
NO_IPV6 = "net.ipv6.conf.all.disable_ipv6"
LIBERAL = "net.netfilter.nf_conntrack_tcp_be_liberal"
COUNT, MOST = "net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max"
STRICT = "net.ipv4.conf.all.rp_filter"
CAP = 1 << 20
"""The most that kube-proxy from 1.36 on computes for the size of the table (kubernetes#137002)."""
FAILS_AT, NOTED_AT = 95, 80
"""Per cent of the table in use."""
OTHERS = 20
"""Nodes whose way to a node with a strict rp_filter is followed."""


_SWITCHED = {"on": "0", "disabled": "1"}


class Demand(Struct, frozen=True):
    """A sysctl that must have a value: `wanted` as text, `holds` judges what it is.

    `absent` says why the kernel has no such sysctl, "" where the snapshot just doesn't tell it.
    """

    name: str
    wanted: str
    why: str
    family: IpFamily = ""
    holds: Callable[[str], bool] | None = None
    absent: str = ""


def check_kernel(snapshot: Snapshot, inputs: Mapping[str, Inputs]) -> tuple[list[Check], list[Note]]:
    """The sysctls of each node that its configuration, the cluster's Services and the routes need.

    What facts.json doesn't tell is one skipped check a node.
    """
    checks: list[Check] = []
    notes: list[Note] = []
    ways = _Ways(inputs)
    for name, node in inputs.items():
        facts = node.snapshot.json("facts.json", dict) or {}
        found = {str(k): str(v)[:64] for k, v in _mapping(facts.get("sysctls")).items()}
        if node.facts.ipv6 in _SWITCHED:
            found.setdefault(NO_IPV6, _SWITCHED[node.facts.ipv6])
        missing: list[str] = []
        for demand in _demands(snapshot, node, facts, found):
            value = found.get(demand.name, "")
            if value or demand.absent:
                checks.append(_judged(demand, value, name))
            else:
                missing.append(demand.name)
        checks += _reverse_paths(node, found, ways)
        if COUNT in found and MOST in found:
            full, said = _fill(name, found)
            checks += full
            notes += said
        else:
            missing += [COUNT]
        if missing:
            why = f"the snapshot's facts.json does not tell {', '.join(dict.fromkeys(missing))}"
            checks.append(Place("", name, "").skip(SYSCTL, "facts.json", why))
    return checks, notes


def _judged(demand: Demand, value: str, node: str) -> Check:
    actual = f"{demand.name} = {value}" if value else f"{demand.name}: {demand.absent}"
    wanted = f"{demand.name} = {demand.wanted}"
    ok = demand.holds(value) if demand.holds else value == demand.wanted
    return Place("", node, demand.family).check(
        SYSCTL, demand.name, demand.why, actual if ok else wanted, actual, ok=ok
    )


def _demands(
    snapshot: Snapshot, node: Inputs, facts: Mapping[str, Any], found: Mapping[str, str]
) -> Iterator[Demand]:
    config, used = (
        node.config,
        [f for f in FAMILIES if any(s.cluster_ips.get(f) for s in _services(snapshot))],
    )
    absent = "the kernel has no IPv6" if node.facts.ipv6 == "absent" else ""
    for family in used:
        if family == "ipv6":
            yield _with_ipv6(snapshot, absent)
            if absent or found.get(NO_IPV6, "0") != "0":
                continue
        yield from _to_forward(node, family, "" if STRICT not in found else "br_netfilter is not loaded")
    if on_localhost(config, node.facts.node, node.version, "ipv4", "TCP") == "translated":
        why = (
            "without it the kernel drops what leaves 127.0.0.1 for an endpoint: node ports on localhost time "
            "out on this node; kube-proxy sets it at its start for iptables.localhostNodePorts "
            "(pkg/proxy/iptables/proxier.go)"
        )
        yield Demand(LOCALNET, "1", why, "ipv4")
    if config.tcp_be_liberal:
        why = (
            "conntrack.tcpBeLiberal: without it packets outside the TCP window are INVALID and not "
            "translated back, and connections through Services are reset (kubernetes#120354)"
        )
        yield Demand(LIBERAL, "1", why)
    cpus = facts.get("cpus")
    if config.conntrack_per_core and type(cpus) is int and cpus > 0:
        size = min(max(config.conntrack_per_core * cpus, config.conntrack_min), CAP)
        why = (
            f"conntrack.maxPerCore {config.conntrack_per_core} x {cpus} CPUs, at least conntrack.min "
            f"{config.conntrack_min}: a smaller table is full earlier, and then new connections are dropped "
            "(getConntrackMax in pkg/proxy/conntrack)"
        )
        yield Demand(MOST, f"{size} or more", why, holds=lambda value: _integer(value) >= size)


def _with_ipv6(snapshot: Snapshot, absent: str) -> Demand:
    named = [f"{s.namespace}/{s.name}" for s in _services(snapshot) if s.cluster_ips.get("ipv6")]
    why = (
        f"{len(named)} Services have IPv6 addresses, such as {named[0]}: none is reached from or by this node"
    )
    return Demand(NO_IPV6, "0", why, "ipv6", absent=absent)


def _to_forward(node: Inputs, family: IpFamily, absent: str) -> Iterator[Demand]:
    if not (
        node.config.mode == "ipvs" and family == "ipv4"
    ):  # there it is one of kube-proxy's own, ipvs.sysctl
        why = (
            "the node forwards what comes from its pods, other nodes and clients outside: without it their "
            f"{'IPv6' if family == 'ipv6' else 'IPv4'} packets for Services end here"
        )
        yield Demand(FORWARDING[family], "1", why, family)
    bridge = _pod_bridge(node, family)
    if bridge and not node.config.masquerade_all:
        why = (
            f"pods are ports of the bridge {bridge}: without it answers between two of them are switched "
            "past the node's rules, not translated back, and a pod that asks a Service refuses them"
        )
        yield Demand(BRIDGED[family], "1", why, family, absent=absent)


def _pod_bridge(node: Inputs, family: IpFamily) -> str:
    """The bridge that has an address of the node's pod CIDRs, "" if there is none."""
    if '"master"' not in node.snapshot.files.get(ADDRESSES, ""):
        return ""
    links = node.snapshot.json(ADDRESSES, list)
    cidrs = [ip_network(cidr) for cidr in node.facts.node.pod_cidrs]
    masters = {str(link.get("master")) for link in links if link.get("master")}
    for name in sorted(masters & node.facts.addresses.keys()):
        for address in map(ip_address, node.facts.addresses[name]):
            if f"ipv{address.version}" == family and any(
                address in cidr for cidr in cidrs if cidr.version == address.version
            ):
                return name
    return ""


def _fill(node: str, found: Mapping[str, str]) -> tuple[list[Check], list[Note]]:
    count, most = _integer(found[COUNT]), _integer(found[MOST])
    share = 100 * count // most if most > 0 else 0
    text = f"{COUNT} = {count}, {share} % of {MOST} = {most}"
    good = f"less than {FAILS_AT} % of {MOST} in use"
    why = "a full table drops the first packet of every new connection (net/netfilter/nf_conntrack_core.c)"
    full = share >= FAILS_AT
    check = Place("", node, "").check(FULL, COUNT, why, good, text if full else good)
    noted = [Note(f"{text}: a full table drops new connections", node)]
    return [check], noted if NOTED_AT < share < FAILS_AT else []


class _Ways:
    """The nodes' routing, each read when it is first asked for; None where it can't be read."""

    def __init__(self, inputs: Mapping[str, Inputs]) -> None:
        self._inputs = inputs
        self._read: dict[str, Routing | None] = {}

    def of(self, name: str) -> Routing | None:
        if name not in self._read:
            files = self._inputs[name].snapshot.files
            try:
                self._read[name] = Routing.parse(files[ADDRESSES], files[ROUTES])
            except (KeyError, LabError):
                self._read[name] = None
        return self._read[name]

    def into(self, here: Inputs) -> Iterator[tuple[str, str, str]]:
        """Where packets of other nodes' pods come in: interface, their CIDR, interface of the way back."""
        mine = self.of(here.snapshot.name)
        for name, there in islice(self._inputs.items(), OTHERS):
            theirs = self.of(name)
            if mine is None or theirs is None or name == here.snapshot.name:
                continue
            for cidr, back in zip(_first(here, "ipv4"), _first(there, "ipv4"), strict=False):
                try:
                    way = theirs.lookup(ip_network(cidr)[1])
                    entry = mine.device_of(way.next_hop(ip_network(cidr)[1])) if way else ""
                    home = mine.lookup(ip_network(back)[1]) if entry else None
                except (NotModelled, IndexError):
                    continue
                if home:
                    yield entry, back, home.device


def _first(node: Inputs, family: IpFamily) -> Sequence[str]:
    return [cidr for cidr in node.facts.node.pod_cidrs if (":" in cidr) == (family == "ipv6")][:1]


def _reverse_paths(node: Inputs, found: Mapping[str, str], ways: _Ways) -> Iterator[Check]:
    """A strict rp_filter drops what comes in by another interface than its answer would leave by.

    The larger of an interface's value and that of `all` holds (Documentation/networking/ip-sysctl.rst).
    """
    strict = [n for n, value in found.items() if value == "1" and n.endswith(".rp_filter")]
    if not strict:
        return
    told: set[str] = set()
    for entry, cidr, back in ways.into(node):
        name = f"net.ipv4.conf.{entry.replace('.', '/')}.rp_filter"
        value = max(found.get(name, "0"), found.get(STRICT, "0"))
        if value != "1" or name in told:
            continue
        told.add(name)
        why = (
            f"strict: packets of the pods in {cidr} come in by {entry}, but the way back to them is {back}, "
        )
        why += "so the kernel drops them"
        good = f"packets come in by {entry} as their answers leave: a strict filter lets them through"
        ok, actual = back == entry, f"{name} = {found.get(name, '0')}\n{STRICT} = {found.get(STRICT, '0')}"
        wanted = actual if ok else f"{name} = 0 or 2"
        yield Place("", node.snapshot.name, "ipv4").check(
            SYSCTL, name, good if ok else why, wanted, actual, ok=ok
        )


def _services(snapshot: Snapshot) -> Sequence[Any]:
    return snapshot.state.services


def _mapping(value: object) -> Mapping[object, object]:
    return value if isinstance(value, dict) else {}


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() else 0
