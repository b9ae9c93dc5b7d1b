"""A node with Docker's, flannel's and libvirt's own rules verifies clean, and they can be listed.

Recorded by tests/golden/foreign/record.sh: a real Docker engine beside the rules of real kube-proxies, saved
by both variants of iptables; `old` are the forms that flannel and libvirt had before chains of their own.
"""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

import trace_golden
from dataplane_golden import load, read
from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from repository import GOLDEN

FOREIGN = GOLDEN / "foreign"
VARIANTS = {"nft": "iptables", "legacy": "iptables", "nftables": "nftables"}
OWNERS = ("Docker", "flannel", "libvirt")
ROUTES = "ip-route.json"
WITH_PODS = json.dumps(
    [*trace_golden.ROUTES, {"dst": "10.244.1.0/24", "dev": "cni0", "protocol": "kernel", "flags": []}]
)


def recorded(variant: str, *, old: bool = False) -> Snapshot:
    snapshot = load(f"../versions/v1.37.2-{VARIANTS[variant]}")
    node = next(node for node in snapshot.nodes if node.name == "default")
    files = {path.name.removesuffix(".gz"): read(path) for path in (FOREIGN / variant).iterdir()}
    older = files.pop("iptables-save-old.txt")
    files = {**files, "iptables-save.txt": older if old else files["iptables-save.txt"], ROUTES: WITH_PODS}
    return replace(snapshot, nodes=(NodeSnapshot(node.name, {**node.files, **files}),))


def with_rule(snapshot: Snapshot, table: str, rule: str) -> Checked:
    """With a rule in front of all others of its table."""
    [node] = snapshot.nodes
    head, start, rest = node.files["iptables-save.txt"].partition(f"*{table}\n")
    at = min(rest.index(word) for word in ("-A ", "COMMIT") if word in rest)
    dump = f"{head}{start}{rest[:at]}{rule}\n{rest[at:]}"
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
        ("filter", "-A FORWARD -d 10.244.1.2/32 -j REJECT --reject-with icmp-port-unreachable"),
        ("mangle", "-A FORWARD -s 10.244.0.0/16 -j DROP"),
    ],
)
def test_a_stray_among_them_fails(variant: str, table: str, rule: str) -> None:
    checked = with_rule(recorded(variant), table, rule)
    if (variant, table) == ("nftables", "nat"):  # which of two chains of one priority runs first isn't known
        assert any(rule in note.text and "registered" in note.text for note in checked.notes)
        return
    failed = [check for check in checked.checks if check.status == "failed"]
    strays = [check for check in failed if check.id == "iptables.stray"]
    assert [check.observed for check in strays] == [rule]
    assert "default/" in strays[0].reason
