"""Known bugs of kube-proxy that a cluster is hit by: the engine follows kube-proxy, and would stay silent.

A version is said to be hit only as far as CHANGELOG-1.29.md to -1.38.md, the threads, or the differential
oracle say so: of a minor without a known fix, up to the last patch that is known to have the bug.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from kubewire.dataplane.core.cluster import ClusterState, ServicePort, service_ports
from kubewire.dataplane.core.compare import listed
from kubewire.dataplane.core.endpoints import categorize, endpoints_for
from kubewire.dataplane.core.features import FEATURES, Version
from kubewire.dataplane.core.findings import Check, IpFamily, Note, Place
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.registry import Mode
from kubewire.dataplane.node import Inputs

PREFIX = "known bug of kube-proxy"
_EOL = "1.29.15 1.30.14"
_COMMENT_LONGEST = 128  # NFTNL_UDATA_COMMENT_MAXLEN of libnftnl
_BY_INDEX = re.compile(r'\biif (?:!= )?"([^"]+)"')
_NFT = re.compile(r"nftables v(\d{1,4})\.(\d{1,4})\.(\d{1,4})")


class Site(Struct, frozen=True):
    """One node in one family: all that a bug can depend on. `observed` None: there is no usable dump."""

    cluster: ClusterState
    node: Inputs
    family: IpFamily
    observed: Dataplane | None = None

    def ports(self) -> tuple[ServicePort, ...]:
        return service_ports(self.cluster, self.family, self.node.version)


class KnownBug(Struct, frozen=True):
    """A bug in some versions and modes.

    `threads`: issues, then pull requests; `fixed`: the first version of each minor without it, later minors
    have the fix too; `last`: of each other minor since `first` the last version that is known to have it.
    `seen`: what users see; `hit`: the printed names of the Services that are hit, "" for the whole node.
    """

    threads: tuple[int, ...]
    modes: tuple[Mode, ...]
    first: Version
    fixed: tuple[Version, ...]
    last: tuple[Version, ...]
    seen: str
    hit: Callable[[Site], Iterable[str]]

    def affects(self, version: Version) -> bool:
        """Whether the version is known to have the bug."""
        minor = version.major, version.minor
        plain = Version(*minor, version.patch)
        for known in self.fixed:
            if (known.major, known.minor) == minor:
                return self.first <= plain < known
        return any((v.major, v.minor) == minor and self.first <= plain <= v for v in self.last)

    @property
    def source(self) -> str:
        """`kubernetes#134024, fixed in 1.33.6, 1.34.2, 1.35.0`."""
        numbers = ", ".join(f"kubernetes#{number}" for number in self.threads)
        where = numbers or "pkg/proxy/endpointslicecache.go"
        return f"{where}, fixed in {', '.join(str(version)[1:] for version in self.fixed)}"


def bug_notes(sites: Iterable[Site]) -> list[Note]:
    """One note a bug that hits any of the nodes, with the nodes and the Services."""
    hits: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    versions: dict[int, set[Version]] = defaultdict(set)
    for site in sites:
        node = site.node
        for index, bug in enumerate(KNOWN_BUGS):
            if node.config.mode in bug.modes and bug.affects(node.version) and (names := set(bug.hit(site))):
                hits[index][node.snapshot.name] |= names
                versions[index].add(node.version)
    return [_note(KNOWN_BUGS[index], nodes, sorted(versions[index])) for index, nodes in sorted(hits.items())]


def _note(bug: KnownBug, nodes: Mapping[str, set[str]], versions: Sequence[Version]) -> Note:
    services = sorted(set().union(*nodes.values()) - {""})
    which = f" on {listed(list(nodes))}" if len(nodes) > 1 else ""
    text = f"{PREFIX} {', '.join(map(str, versions))}{which}: {bug.seen}"
    hit = f": {listed(services)}" if services else ""
    return Note(f"{text}{hit} ({bug.source})", "" if len(nodes) > 1 else next(iter(nodes)))


def refusal(expected: Dataplane, node: Inputs) -> Check | None:
    """The failed check of a version that can't sync with this configuration or these Services, None else.

    nft refuses a whole transaction for one rule or element.
    """
    if node.config.mode != "nftables":
        return None
    links = node.facts.addresses
    for rule in (rule for chain in expected.chains for rule in chain.rules()):
        match = _BY_INDEX.search(rule.text)
        if match and (match[1].endswith("*") or (links and match[1] not in links)):
            key = "interfaceNamePrefix" if match[1].endswith("*") else "bridgeInterface"
            why = f"nft takes iif for the index of an interface ({_fix('134024', 'nft-iifname')})"
            return _refused(node, f"detectLocal.{key}", f'iif "{match[1]}"', why)
    for item in expected.sets:
        for comment in (element.comment for element in item.elements):
            if len(comment.encode()) > _COMMENT_LONGEST:
                why = f"nft takes comments of {_COMMENT_LONGEST} bytes ({_fix('139516', 'nft-comment-cut')})"
                return _refused(node, item.name, f'comment "{comment}"', why, comment)
    return None


def _refused(node: Inputs, label: str, what: str, why: str, service: str = "") -> Check:
    reason = f"kube-proxy {node.version} can't sync: {why}; the rules stay those of its last sync"
    place = Place("", node.snapshot.name, "")
    return place.check(
        "kube-proxy.configuration", label, reason, "what nft takes", what, ok=False, service=service
    )


def _fix(number: str, feature: str) -> str:
    return f"kubernetes#{number}, fixed in {', '.join(str(v)[1:] for v in FEATURES[feature].since)}"


def _udp(site: Site) -> Iterator[str]:
    return (port.name for port in site.ports() if port.protocol == "UDP")


def _udp_without_endpoints(site: Site) -> Iterator[str]:
    node = site.node
    for port in site.ports():
        if port.protocol == "UDP":
            endpoints = endpoints_for(site.cluster, port, node.facts.name, node.version)
            if not any(e.ready or (e.serving and e.terminating) for e in endpoints):
                yield port.name


def _local_elsewhere(site: Site) -> Iterator[str]:
    """Services with policy Local whose endpoints are all on other nodes."""
    node = site.node
    for port in site.ports():
        if port.external_policy_local and port.externally_accessible:
            endpoints = endpoints_for(site.cluster, port, node.facts.name, node.version)
            chosen = categorize(endpoints, port, node.facts.node, node.version)
            if chosen.has_any and not chosen.local:
                yield port.name


def _taken_over(site: Site) -> Iterator[str]:
    """Services with an address that both a running and a terminating pod have."""
    for port in site.ports():
        states: dict[tuple[str, int], set[bool]] = defaultdict(set)
        for item in site.cluster.slices_of.get((port.namespace, port.service), ()):
            for name, protocol, number in item.ports if item.family == site.family else ():
                for entry in item.endpoints if (name, protocol) == (port.port_name, port.protocol) else ():
                    if entry.ready or entry.terminating:
                        states[entry.ip, number].add(entry.terminating)
        if any(len(both) > 1 for both in states.values()):
            yield port.name


def _crowded_slices(site: Site) -> Iterator[str]:
    """Services with a slice of several ports, one without a number."""
    for (namespace, service), slices in site.cluster.slices_of.items():
        if any(item.portless for item in slices):
            yield f"{namespace}/{service}"


def _open_to_all(site: Site) -> Iterator[str]:
    """Load balancers whose source ranges name all addresses."""
    for port in site.ports():
        if port.lb_vips and any(cidr.endswith("/0") for cidr in port.source_ranges):
            yield port.name


def _source_ranges(site: Site) -> Iterator[str]:
    return (port.name for port in site.ports() if port.lb_vips and port.source_ranges)


def _local_external_ips(site: Site) -> Iterator[str]:
    return (port.name for port in site.ports() if port.external_ips and port.external_policy_local)


def _foreign_sets(site: Site) -> Iterator[str]:
    """Where nothing of kube-proxy's is there, and a newer nft has written sets into others' tables."""
    if site.observed is not None and any("/" in chain.name for chain in site.observed.chains):
        return
    files = site.node.snapshot.files
    try:
        facts, foreign = json.loads(files["facts.json"]), json.loads(files["nft-foreign.json"])
        version = _NFT.search(str(facts["tools"]["nft"]))
        sets = any("set" in entry for entry in foreign["nftables"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return
    if sets and version and tuple(map(int, version.groups())) >= (1, 1, 3):
        yield ""


_ALL: tuple[Mode, ...] = ("iptables", "ipvs", "nftables")


def _bug(
    threads: tuple[int, ...],
    modes: tuple[Mode, ...],
    versions: tuple[str, str, str],
    seen: str,
    hit: Callable[[Site], Iterable[str]],
) -> KnownBug:
    """`versions`: the first one that has it, the fixed ones, and the last known one of each other minor."""
    first, fixed, last = (tuple(map(Version.parse, text.split())) for text in versions)
    return KnownBug(threads, modes, first[0], fixed, last, seen, hit)


KNOWN_BUGS = (
    _bug(
        (125467, 127780),
        _ALL,
        ("1.29.0", "1.29.10 1.30.6 1.31.2 1.32.0", ""),
        "clients of a UDP Service, such as DNS, may stay bound to a deleted pod until they stop sending",
        _udp,
    ),
    _bug(
        (126532,),
        _ALL,
        ("1.29.0", "1.29.9 1.30.5 1.31.1 1.32.0", ""),
        "who sends to a UDP Service while kube-proxy starts may stay without an answer",
        _udp,
    ),
    _bug(
        (139628, 139629),
        _ALL,
        ("1.32.0", "1.37.0", "1.32.11 1.33.13 1.34.9 1.35.6 1.36.2"),
        "who keeps sending to a UDP Service that lost its last endpoint stays bound to the deleted pod, "
        "without a refusal",
        _udp_without_endpoints,
    ),
    _bug(
        (129982, 130032),
        _ALL,
        ("1.32.0", "1.32.3 1.33.0", ""),
        "kube-proxy may take gigabytes of memory whenever an endpoint of a UDP Service changes",
        _udp,
    ),
    _bug(
        (135266, 135593),
        _ALL,
        ("1.29.0", "1.36.0", f"{_EOL} 1.31.14 1.32.10 1.33.6 1.34.2 1.35.0"),
        "a new pod that has the address of one that still terminates may get no traffic",
        _taken_over,
    ),
    _bug(
        (),
        _ALL,
        ("1.29.0", "1.31.0", "1.29.6 1.30.14"),
        "kube-proxy crashes on an EndpointSlice with several ports, one of them without a number",
        _crowded_slices,
    ),
    _bug(
        (131765, 132456),
        ("nftables",),
        ("1.29.0", "1.33.6 1.34.0", f"{_EOL} 1.31.11 1.32.7"),
        "a node without an endpoint, and its pods, can't reach the external addresses of a Service with "
        "externalTrafficPolicy: Local",
        _local_elsewhere,
    ),
    _bug(
        (122614,),
        ("nftables",),
        ("1.29.0", "1.30.0", "1.29.6"),
        "loadBalancerSourceRanges don't work, and changing them may stop all updates of rules",
        _source_ranges,
    ),
    _bug(
        (136786, 137501, 140405),
        ("nftables",),
        ("1.29.0", "1.37.0", f"{_EOL} 1.31.14 1.32.11 1.33.13 1.34.9 1.35.6 1.36.2"),
        "no rules at all: the nft of kube-proxy's image may crash on sets that nft 1.1.3 or newer wrote into "
        "other tables of the node",
        _foreign_sets,
    ),
    _bug(
        (135631,),
        ("ipvs",),
        ("1.34.0", "1.34.4 1.35.1 1.36.0", ""),
        "what others change of kube-proxy's rules and virtual servers is not repaired until a Service or an "
        "endpoint changes",
        lambda _: ("",),
    ),
    _bug(
        (132719, 132722),
        ("ipvs",),
        ("1.29.0", "1.34.0", f"{_EOL} 1.31.10 1.32.6 1.33.2"),
        "loadBalancerSourceRanges with a range of all addresses let nobody in by it",
        _open_to_all,
    ),
    _bug(
        (121919,),
        ("ipvs",),
        ("1.29.0", "1.29.1 1.30.0", ""),
        "externalIPs with externalTrafficPolicy: Local are not reached",
        _local_external_ips,
    ),
)
