"""Checks a whole snapshot without I/O: each node's dataplane against what kube-proxy must have written.

Modules of one mode are imported where it is checked: the import takes longer than checking a small node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from kubewire.core.errors import KubewireError, LabError
from kubewire.dataplane.agreement import NodeChains, check_agreement, service_chains
from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.features import unknown_version
from kubewire.dataplane.core.findings import FAMILIES, Check, IpFamily, Note, Place
from kubewire.dataplane.core.harm import Effects
from kubewire.dataplane.core.model import Dataplane, Problem
from kubewire.dataplane.core.pods import Pod, read_pods
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot, dump_file
from kubewire.dataplane.iptables.compare import compare_iptables
from kubewire.dataplane.iptables.observed import parse_iptables_save
from kubewire.dataplane.known_bugs import Site, bug_notes, refusal
from kubewire.dataplane.node import Inputs, expected_dataplane, read_inputs
from kubewire.dataplane.others import Others
from kubewire.dataplane.undefined import (
    Orders,
    likeliest,
    order_notes,
    reading,
    readings,
    shared_addresses,
    undefined_orders,
)
from kubewire.dataplane.unused import unused_families

if TYPE_CHECKING:
    from kubewire.dataplane.ipvs.observed import IpvsDumps

_MOST, _LONGEST = 50, 1000
_NAMES: dict[IpFamily, str] = {"ipv4": "IPv4", "ipv6": "IPv6"}
_UNUSED = "not checked, since no Service uses it and kube-proxy has programmed it on no node"


class Checked(Struct, frozen=True):
    """The result for a snapshot; `observed` is the last node's dataplane in each family that was checked.

    `inputs` has the nodes that could be read.
    """

    checks: list[Check]
    notes: list[Note]
    observed: Mapping[IpFamily, Dataplane]
    inputs: Mapping[str, Inputs]


def check_snapshot(snapshot: Snapshot) -> Checked:
    """Check every node in the mode that its kube-proxy runs in.

    Raises LabError where nothing can be checked: no node, or no Service (default/kubernetes always exists).
    """
    cluster = snapshot.state
    if not cluster.services:
        raise LabError(
            "the cluster's objects hold no Service, not even default/kubernetes", where="cluster.json"
        )
    if not snapshot.nodes:
        raise LabError("the snapshot holds no node", where="nodes")
    checks: list[Check] = []
    chains: list[NodeChains] = []
    read: dict[str, Inputs] = {}
    pods = read_pods(snapshot.cluster)
    last: Mapping[IpFamily, Dataplane] = {}
    for node in snapshot.nodes:
        try:
            read[node.name] = read_inputs(node, cluster)
        except KubewireError as error:
            checks.append(_unreadable(node, error))
    unused = unused_families(cluster, snapshot.nodes, read)
    families = [family for family in FAMILIES if family not in unused]
    notes = [Note(f"{_NAMES[family]}: {_UNUSED}") for family in unused]
    sites: list[Site] = []
    told: list[Note] = []
    several = len(snapshot.nodes) > 1
    for inputs in read.values():
        results, said, pairs = _check_node(inputs, cluster, pods, families)
        checks += results
        told += said
        sites += [
            Site(cluster, inputs, family, pairs[family][1] if family in pairs else None)
            for family in families
            if not inputs.facts.leaves_out(family, inputs.version)
        ]
        last = {family: observed for family, (_, observed) in pairs.items()}
        if several:
            chains += [service_chains(inputs.snapshot.name, family, *pair) for family, pair in pairs.items()]
    notes += [*bug_notes(sites), *_shared(sites)]
    return Checked(checks + check_agreement(chains), [*notes, *told], last, read)


def _shared(sites: Sequence[Site]) -> Iterator[Note]:
    """Once in each family, by the first node's version."""
    for family in FAMILIES:
        version = next((site.node.version for site in sites if site.family == family), None)
        if version:
            yield from shared_addresses(sites[0].cluster, family, version)


def _unreadable(node: NodeSnapshot, error: KubewireError) -> Check:
    reason = "without it nothing on this node can be checked"
    wanted = "a file as kube-proxy has it"
    return Place("", node.name, "").check("dump.present", error.where, reason, wanted, error.what, ok=False)


def _check_node(
    node: Inputs, cluster: ClusterState, pods: Sequence[Pod], families: Sequence[IpFamily]
) -> tuple[list[Check], list[Note], dict[IpFamily, tuple[Dataplane, Dataplane]]]:
    """Checks, notes, and what was expected and observed in each family that could be checked."""
    checks: list[Check] = []
    notes: list[Note] = []
    kept: dict[IpFamily, tuple[Dataplane, Dataplane]] = {}
    mode, name = node.config.mode, node.snapshot.name
    ipvs = _observe_ipvs(node) if mode == "ipvs" else None
    for family in families:
        if node.facts.leaves_out(family, node.version):
            checks.append(_left_out(node, family))
            continue
        expected = expected_dataplane(node, cluster, family)
        observed, present = observe(node, family, expected)
        if observed is None and (refused := refusal(expected, node)):
            checks += [refused] if refused not in checks else []
            continue
        checks.append(present)
        if ipvs:
            checks += [_present(node, family, file, told) for file, told in ipvs.problems.items()]
        if observed is None or (ipvs and not ipvs.usable):
            continue
        observed = ipvs.beside(observed, family) if ipvs else observed
        others = Others.of(node, cluster, pods, family)
        foreign = others.effects(observed)
        found = _compare(node, expected, observed, foreign, family)
        orders = undefined_orders(cluster, node, family)
        if orders and found.failed:
            found = _likeliest(node, cluster, orders, found, observed, foreign=foreign)
        if found.failed and (refused := refusal(found.expected, node)):
            checks += [refused] if refused not in checks else []
            continue
        members = []
        if found.failed:
            from kubewire.dataplane.members import member_checks

            place = Place(mode, name, family)
            members = member_checks(found.expected, observed, place)
        strays, about = others.checks(foreign)
        checks += [*found.checks, *members, *strays]
        notes += [*order_notes(orders, name, family), *found.notes, *about]
        kept[family] = found.expected, observed
    odd = unknown_version(node.version)
    return checks, [*([Note(odd, name)] if odd else []), *dict.fromkeys(notes)], kept


class _Compared(Struct, frozen=True):
    """What was expected of a family, and what was found against it."""

    family: IpFamily
    expected: Dataplane
    checks: list[Check]
    notes: list[Note]

    @property
    def failed(self) -> bool:
        return any(check.status == "failed" for check in self.checks)


def _compare(
    node: Inputs, expected: Dataplane, observed: Dataplane, foreign: Effects, family: IpFamily
) -> _Compared:
    place = Place(node.config.mode, node.snapshot.name, family)
    if observed.unread:
        expected = _without(expected, observed.unread)
    if node.config.mode == "nftables":
        from kubewire.dataplane.nftables.compare import compare_nft

        return _Compared(family, expected, *compare_nft(expected, observed, place))
    if node.config.mode == "iptables":
        return _Compared(family, expected, *compare_iptables(expected, observed, foreign, place))
    from kubewire.dataplane.ipvs.compare import compare_ipvs

    exclude = node.config.ipvs_exclude_cidrs
    return _Compared(family, expected, *compare_ipvs(expected, observed, foreign, place, exclude))


def _likeliest(
    node: Inputs,
    cluster: ClusterState,
    orders: Orders,
    first: _Compared,
    observed: Dataplane,
    *,
    foreign: Effects,
) -> _Compared:
    """The comparison with what kube-proxy must have written, of all that it may have written, that fits best.

    `first` is the comparison in the API's own order.
    """

    def compare(state: ClusterState) -> _Compared:
        expected = expected_dataplane(node, state, first.family)
        return _compare(node, expected, observed, foreign, first.family)

    tried = [first, *map(compare, readings(cluster, orders))]
    return compare(reading(cluster, likeliest(orders, [each.checks for each in tried])))


def _without(expected: Dataplane, unread: Sequence[str]) -> Dataplane:
    """What is expected of the tables that were read."""
    return replace(
        expected,
        tables=tuple(table for table in expected.tables if table.name not in unread),
        chains=tuple(chain for chain in expected.chains if chain.table not in unread),
    )


def _left_out(node: Inputs, family: IpFamily) -> Check:
    name = dump_file(node.config.mode, family)
    reason = f"IPv6 is {node.facts.ipv6} in the node's kernel, and kube-proxy leaves the family out"
    return Place("", node.snapshot.name, family).skip("dump.present", name, reason)


def observe(
    node: Inputs, family: IpFamily, expected: Dataplane | None = None
) -> tuple[Dataplane | None, Check]:
    """The dump that the mode needs, and the check that it exists, is complete and was parsed.

    The words of rules that stand in `expected` are not looked at.
    """
    files, errors = node.snapshot.files, node.snapshot.errors
    name = dump_file(node.config.mode, family)
    if not files.get(name, "").strip():
        return None, _present(node, family, name, [errors.get(name) or "the dump is missing or empty"])
    if node.config.mode == "nftables":
        from kubewire.dataplane.nftables.observed import ParseError, parse_nft_json

        try:
            return parse_nft_json(files[name], family), _present(node, family, name, [])
        except ParseError as error:
            return None, _present(node, family, name, [str(error)])
    known = {rule.text for chain in expected.chains for rule in chain.rules()} if expected else ()
    dataplane = parse_iptables_save(files[name], family, known)
    cut = any(problem.where in ("", "end") for problem in dataplane.problems)
    return None if cut else dataplane, _present(node, family, name, dataplane.problems)


def _shown(problems: Sequence[Problem | str]) -> str:
    """The first problems that the parser found."""
    texts = map(str, problems[:_MOST])
    lines = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …" for text in texts]
    return "\n".join([*lines, *([f"and {len(problems) - _MOST} more"] if len(problems) > _MOST else [])])


def _observe_ipvs(node: Inputs) -> IpvsDumps:
    from kubewire.dataplane.ipvs.observed import read_ipvs

    return read_ipvs(node.snapshot.files, node.snapshot.errors)


def _present(node: Inputs, family: IpFamily, name: str, problems: Sequence[Problem | str]) -> Check:
    reason = f"mode {node.config.mode} can only be checked from a whole dump"
    whole, place = "a whole dump", Place("", node.snapshot.name, family)
    actual = _shown(problems) or whole
    return place.check("dump.present", name, reason, whole, actual, ok=not problems)
