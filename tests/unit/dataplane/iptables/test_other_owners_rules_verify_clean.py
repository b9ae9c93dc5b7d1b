"""A node with Docker's, flannel's and libvirt's own rules verifies clean, and they can be listed.

Recorded by tests/golden/foreign/record.sh: a real Docker engine beside the rules of real kube-proxies, saved
by both variants of iptables; `old` are the forms that flannel and libvirt had before chains of their own.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from test_foreign_rules_are_told_from_damage import insert

from dataplane_golden import load, read
from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from repository import GOLDEN

FOREIGN = GOLDEN / "foreign"
VARIANTS = {"nft": "iptables", "legacy": "iptables", "nftables": "nftables"}
OWNERS = ("Docker", "flannel", "libvirt")


def recorded(variant: str, *, old: bool = False) -> Snapshot:
    snapshot = load(f"../versions/v1.37.2-{VARIANTS[variant]}")
    node = next(node for node in snapshot.nodes if node.name == "default")
    files = {path.name.removesuffix(".gz"): read(path) for path in (FOREIGN / variant).iterdir()}
    older = files.pop("iptables-save-old.txt")
    files = {**files, "iptables-save.txt": older if old else files["iptables-save.txt"]}
    return replace(snapshot, nodes=(NodeSnapshot(node.name, {**node.files, **files}),))


def with_rule(snapshot: Snapshot, table: str, rule: str) -> Checked:
    [node] = snapshot.nodes
    dump = insert(node.files["iptables-save.txt"], table, rule)
    damaged = NodeSnapshot(node.name, {**node.files, "iptables-save.txt": dump})
    return check_snapshot(replace(snapshot, nodes=(damaged,)))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_difference_and_every_owner_is_listed(variant: str, *, old: bool) -> None:
    checked = check_snapshot(recorded(variant, old=old))
    assert [check for check in checked.checks if check.status == "failed"] == []
    notes = "\n".join(note.text for note in checked.notes)
    for owner in OWNERS:
        assert f"of {owner}, left alone" in notes
    assert "policy DROP" in notes


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("table", "rule"),
    [
        (
            "nat",
            "-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 192.0.2.9:9",
        ),
        ("nat", "-A PREROUTING -d 10.96.0.1/32 ! -i docker0 -j DNAT --to-destination 192.0.2.9:9"),
        ("nat", "-A OUTPUT -p tcp -m tcp --dport 30080 -j REDIRECT --to-ports 9"),
        ("filter", "-A FORWARD -d 10.244.1.2/32 -j REJECT --reject-with icmp-port-unreachable"),
        ("filter", "-A FORWARD -s 10.244.0.0/16 -j DROP"),
        ("nat", "-A POSTROUTING -s 10.244.0.0/16 -j MASQUERADE"),
    ],
)
def test_a_stray_among_them_fails(variant: str, table: str, rule: str) -> None:
    failed = [check for check in with_rule(recorded(variant), table, rule).checks if check.status == "failed"]
    strays = [check for check in failed if check.id == "iptables.stray"]
    assert [check.observed for check in strays] == [rule]
    assert "it can match" in strays[0].reason
