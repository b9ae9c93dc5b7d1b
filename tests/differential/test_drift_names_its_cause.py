"""Between recorded kube-proxies of all versions every change has its cause; damage and edits have theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import pairwise

import pytest
from msgspec.structs import replace

from kubewire.dataplane.core.features import FEATURES, Version
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.versiondiff.acceptance import Acceptance, expired, judge
from kubewire.versiondiff.compare import drift
from kubewire.versiondiff.model import UNKNOWN, Drift
from recorded import GOLDEN, load

MODES = ("iptables", "nftables", "ipvs")
CAUSES = {
    ("nftables", "v1.35.4", "v1.36.3"): {"nft-dnat-map"},
    ("nftables", "v1.36.3", "v1.37.2"): {"nft-single-dnat"},
    ("iptables", "v1.29.6", "v1.30.4"): set(),
}
"""Causes that must be among those that are named."""


def recorded(mode: str) -> list[str]:
    """The recorded versions of a mode, oldest first."""
    folders = (GOLDEN / "versions").glob(f"v*-{mode}")
    return sorted((folder.name.removesuffix(f"-{mode}") for folder in folders), key=Version.parse)


def neighbours() -> list[tuple[str, str, str]]:
    return [(mode, *pair) for mode in MODES for pair in pairwise(recorded(mode))]


def snapshot(mode: str, version: str) -> Snapshot:
    return load(GOLDEN / "versions" / f"{version}-{mode}")


def changed(taken: Snapshot, file: str, edit: Callable[[str], str]) -> Snapshot:
    """The snapshot with a file of its first node edited."""
    first, *others = taken.nodes
    edited = edit(first.files[file])
    assert edited != first.files[file]
    return replace(taken, nodes=(NodeSnapshot(first.name, {**first.files, file: edited}), *others))


def causes(found: Drift) -> dict[str, int]:
    return {group.cause.name: len(group.changes) for group in found.groups}


def test_every_feature_of_the_version_table_is_told_in_words() -> None:
    assert all(feature.title and feature.source for feature in FEATURES.values())


@pytest.mark.parametrize(("mode", "before", "after"), neighbours())
def test_nothing_is_left_unexplained_from_version_to_version(mode: str, before: str, after: str) -> None:
    found = drift(snapshot(mode, before), snapshot(mode, after))
    unknown = [group for group in found.groups if group.cause == UNKNOWN]
    assert [change for group in unknown for change in group.changes] == []
    assert CAUSES.get((mode, before, after), set()) <= causes(found).keys()


def test_backwards_the_same_features_are_named() -> None:
    found = drift(snapshot("nftables", "v1.36.3"), snapshot("nftables", "v1.35.4"))
    assert "nft-dnat-map" in causes(found)
    assert "unknown" not in causes(found)


def test_the_same_dataplane_has_not_drifted() -> None:
    for mode in MODES:
        assert drift(snapshot(mode, "v1.37.2"), snapshot(mode, "v1.37.2")).groups == ()


def test_a_damaged_rule_is_unknown_and_told_by_its_text() -> None:
    whole = snapshot("iptables", "v1.37.2")
    broken = changed(
        whole, "iptables-save.txt", lambda text: text.replace("0x4000/0x4000", "0x8000/0x8000", 1)
    )
    [group] = drift(whole, broken).groups
    assert group.cause.name == "unknown"
    [change] = group.changes
    assert any("0x8000" in line for line in change.after)
    assert any("0x4000" in line for line in change.before)
    assert not group.by_version


def test_unknown_changes_come_before_known_ones() -> None:
    newer = snapshot("nftables", "v1.36.3")
    newer = changed(newer, "nft-ip.json", lambda text: text.replace('"policy": "accept"', '"policy": "drop"'))
    names = list(causes(drift(snapshot("nftables", "v1.35.4"), newer)))
    assert names[0] == "unknown"
    assert "nft-dnat-map" in names


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_another_configuration_is_the_configurations_doing(mode: str) -> None:
    whole = snapshot(mode, "v1.37.2")
    plain, other = (
        next(node for node in whole.nodes if node.name == name)
        for name in ("default", "masqueradeall-bit-15")
    )
    before = replace(whole, nodes=(plain,))
    after = replace(whole, nodes=(NodeSnapshot(plain.name, other.files),))
    found = drift(before, after)
    assert "configuration" in causes(found)
    assert "unknown" not in causes(found)
    assert not any(group.by_version for group in found.groups)


def test_an_acceptance_counts_until_its_day_and_for_its_objects() -> None:
    whole = snapshot("iptables", "v1.37.2")
    broken = changed(
        whole, "iptables-save.txt", lambda text: text.replace("0x4000/0x4000", "0x8000/0x8000", 1)
    )
    found = drift(whole, broken)
    accepted = Acceptance(cause="unknown", object="iptables *", reason="a test", expires=date(2026, 12, 31))
    other = Acceptance(cause="unknown", object="ip6tables *", reason="a test", expires=date(2026, 12, 31))
    today, later = date(2026, 12, 31), date(2027, 1, 1)
    assert [each.standing for each in judge(found, [accepted], today)] == ["accepted"]
    assert [each.standing for each in judge(found, [accepted], later)] == ["open"]
    assert [each.standing for each in judge(found, [other], today)] == ["open"]
    assert expired([accepted], later) == [accepted]
