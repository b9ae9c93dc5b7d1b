"""Compares two snapshots and finds the cause of each change.

Causes are found by counterfactuals: the engine computes what is expected with old cluster and version; then
cluster, configuration, node, and each feature between the versions are replaced, one after the other. The
cause of a line is the step that adds or removes it. What no step explains is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from kubewire.core.errors import LabError
from kubewire.dataplane.check import observe
from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.features import FEATURES, Blend, Version, features_of
from kubewire.dataplane.core.findings import FAMILIES, IpFamily
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.ipvs.observed import read_ipvs
from kubewire.dataplane.node import Inputs, expected_dataplane, read_inputs
from kubewire.versiondiff.model import (
    CLUSTER,
    CONFIGURATION,
    NODE,
    UNKNOWN,
    Cause,
    Change,
    Drift,
    Group,
    Kind,
)
from kubewire.versiondiff.pieces import THERE, Pieces, pieces_of
from kubewire.versiondiff.roles import Roles, role_of_node, roles_of

Found = dict[tuple[Cause, str], tuple[Counter[str], Counter[str]]]


@dataclass(frozen=True)
class _Side:
    """One snapshot's node with the cluster around it."""

    inputs: Inputs
    cluster: ClusterState
    roles: Roles


@dataclass(frozen=True)
class _Step:
    """One step: its cause, and the lines that it adds to and removes from each container."""

    cause: Cause
    gained: Pieces
    lost: Pieces


def drift(before: Snapshot, after: Snapshot, subject: str = "") -> Drift:
    """What changed on the nodes that both have (by role). Raises LabError where a snapshot can't be read."""
    old, new = _sides(before), _sides(after)
    found: dict[tuple[Cause, Kind, str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for role in [role for role in old if role in new]:
        for change, cause in _node(old[role], new[role]):
            found.setdefault((cause, change.kind, change.place, change.before, change.after), []).append(role)
    versions = _version(old), _version(new)
    moved = versions[0] != versions[1]
    if missing := sorted({*old} ^ {*new}):
        place = "nodes"
        gone, come = (tuple(sorted({*a} - {*b})) for a, b in ((old, new), (new, old)))
        kind: Kind = "changed" if gone and come else "vanished" if gone else "appeared"
        found[CLUSTER, kind, place, gone, come] = missing
    return Drift(subject, *versions, tuple(_groups(found, moved)))


def _groups(
    found: Mapping[tuple[Cause, Kind, str, tuple[str, ...], tuple[str, ...]], Sequence[str]], moved: bool
) -> Iterator[Group]:
    by_cause: dict[Cause, list[Change]] = {}
    for (cause, kind, place, gone, come), nodes in found.items():
        by_cause.setdefault(cause, []).append(Change(kind, place, gone, come, tuple(nodes)))
    order = [*(cause.name for cause in (UNKNOWN, CLUSTER, CONFIGURATION, NODE)), *FEATURES]
    for cause in sorted(by_cause, key=lambda cause: order.index(cause.name)):
        yield Group(cause, tuple(by_cause[cause]), by_version=moved and cause.name in FEATURES)


def _version(sides: Mapping[str, _Side]) -> str:
    return ", ".join(sorted({str(side.inputs.version) for side in sides.values()}))


def _sides(snapshot: Snapshot) -> dict[str, _Side]:
    """Each node with the needed files, by its role."""
    cluster = ClusterState.from_list(snapshot.cluster)
    lab = str(snapshot.meta.get("lab", ""))
    sides = {}
    for node in snapshot.nodes:
        inputs = read_inputs(node, cluster)
        roles = roles_of(cluster, lab, inputs.version, inputs.facts.name)
        sides[role_of_node(node.name, lab)] = _Side(inputs, cluster, roles)
    return sides


def _node(old: _Side, new: _Side) -> Iterator[tuple[Change, Cause]]:
    modes = old.inputs.config.mode, new.inputs.config.mode
    if modes[0] != modes[1]:
        raise LabError(f"mode {modes[0]} can't be compared with mode {modes[1]}")
    for family in FAMILIES:
        had, has_now = _observed(old, family), _observed(new, family)
        if had is None or has_now is None or had == has_now:
            if (had is None) != (has_now is None):
                yield _dump_missing(had is None, modes[0], family), UNKNOWN
            continue
        steps = list(_steps(old, new, family))
        found: Found = {}
        for place in dict.fromkeys((*had, *has_now)):
            was, now = had.get(place, Counter()), has_now.get(place, Counter())
            for line in (was - now).elements():
                found.setdefault((_cause(steps, place, line, gained=False), place), _pair())[0][line] += 1
            for line in (now - was).elements():
                found.setdefault((_cause(steps, place, line, gained=True), place), _pair())[1][line] += 1
        for (cause, place), (gone, come) in found.items():
            yield _change(place, gone, come, had, has_now), cause


def _pair() -> tuple[Counter[str], Counter[str]]:
    return Counter(), Counter()


def _change(place: str, gone: Counter[str], come: Counter[str], had: Pieces, has_now: Pieces) -> Change:
    """The kind of change: the whole container appeared or vanished, or lines of it changed."""
    kind: Kind = "changed"
    if place not in had or (not gone and THERE in " ".join(come)):
        kind = "appeared"
    elif place not in has_now:
        kind = "vanished"
    return Change(kind, place, tuple(gone.elements()), tuple(come.elements()))


def _dump_missing(before: bool, mode: str, family: IpFamily) -> Change:
    kind: Kind = "appeared" if before else "vanished"
    return (
        Change(kind, f"{mode} {family}", (), ("a whole dump",))
        if before
        else Change(kind, f"{mode} {family}", ("a whole dump",), ())
    )


def _observed(side: _Side, family: IpFamily) -> Pieces | None:
    """What the node has, by roles; None where its dump is missing or cut, or the family is left out."""
    inputs = side.inputs
    if inputs.facts.leaves_out(family, inputs.version):
        return {}
    seen, _ = observe(inputs, family)
    if seen is not None and inputs.config.mode == "ipvs":
        seen = read_ipvs(inputs.snapshot.files, inputs.snapshot.errors).beside(seen, family)
    return None if seen is None else _by_roles(seen, side, family, whole=True)


def _by_roles(dataplane: Dataplane, side: _Side, family: IpFamily, *, whole: bool) -> Pieces:
    mode = side.inputs.config.mode
    named: dict[str, Counter[str]] = {}
    for place, lines in pieces_of(dataplane, mode, family, whole=whole).items():
        own = named.setdefault(side.roles.of(place), Counter())
        for line, count in lines.items():
            own[side.roles.of(line)] += count
    return named


def _cause(steps: Sequence[_Step], place: str, line: str, *, gained: bool) -> Cause:
    """The last step that added or removed the line."""
    for step in reversed(steps):
        if line in (step.gained if gained else step.lost).get(place, ()):
            return step.cause
    return UNKNOWN


def _steps(old: _Side, new: _Side, family: IpFamily) -> Iterator[_Step]:
    current = old
    lines = _expected(current, family)
    for cause, changed in _exchanges(old, new):
        after = _expected(changed, family)
        if after != lines:
            yield _Step(cause, _minus(after, lines), _minus(lines, after))
        current, lines = changed, after


def _exchanges(old: _Side, new: _Side) -> Iterator[tuple[Cause, _Side]]:
    """The steps from the old to the new."""
    was, becomes = old.inputs.version, new.inputs.version
    version = _blend(was, features_of(was))
    inputs = structs.replace(old.inputs, version=version)
    facts = structs.replace(inputs.facts, node=new.inputs.facts.node)
    around = replace(new, inputs=structs.replace(inputs, facts=facts))
    yield CLUSTER, around
    inputs = structs.replace(around.inputs, config=new.inputs.config)
    yield CONFIGURATION, replace(new, inputs=inputs)
    inputs = structs.replace(inputs, facts=new.inputs.facts)
    yield NODE, replace(new, inputs=inputs)
    has_now = features_of(was)
    mode = new.inputs.config.mode
    for feature in _on_the_way(was, becomes):
        has_now = has_now ^ {feature}
        if feature.startswith("nft-") and mode != "nftables":
            continue
        blended = structs.replace(inputs, version=_blend(was, has_now))
        told = FEATURES[feature]
        yield Cause(feature, told.title, told.source), replace(new, inputs=blended)


def _blend(version: Version, features: frozenset[str]) -> Blend:
    return Blend(version.major, version.minor, version.patch, features=features)


def _on_the_way(was: Version, becomes: Version) -> list[str]:
    """The features that were added or removed, in that order."""
    came = sorted(features_of(becomes) - features_of(was), key=_since)
    went = sorted(features_of(was) - features_of(becomes), key=_since)
    return [*reversed(went), *came]


def _since(feature: str) -> tuple[Version, str]:
    """Its first version; features that only depend on a gate sort last."""
    return (FEATURES[feature].since or (Version(99, 0),))[-1], feature


def _expected(side: _Side, family: IpFamily) -> Pieces:
    inputs = side.inputs
    if inputs.facts.leaves_out(family, inputs.version):
        return {}
    return _by_roles(expected_dataplane(inputs, side.cluster, family), side, family, whole=False)


def _minus(one: Pieces, other: Pieces) -> Pieces:
    return {place: left for place, lines in one.items() if (left := lines - other.get(place, Counter()))}
