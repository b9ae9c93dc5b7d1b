"""What the node's iptables can't print or doesn't know is neither missing nor demanded."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from dataplane_golden import RICH, load
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.objects import Node
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.verify.evaluate import evaluate_snapshot
from recorded import GOLDEN
from recorded import load as load_case

FILE = "iptables-save.txt"
FLAG = " --random-fully"


def rich(old: str, new: str, iptables: str = "iptables v1.8.9 (nf_tables)") -> Snapshot:
    """A recorded cluster whose first node prints `new` for `old`."""
    snapshot = load(RICH)
    first, *others = snapshot.nodes
    assert old in first.files[FILE]
    facts = {**json.loads(first.files["facts.json"]), "tools": {"iptables": iptables}}
    text = first.files[FILE].replace(old, new, 1)
    files = {**first.files, FILE: text, "facts.json": json.dumps(facts)}
    return replace(snapshot, nodes=(NodeSnapshot(first.name, files), *others))


def failed(snapshot: Snapshot) -> list[Check]:
    return list(evaluate_snapshot(snapshot, ["dataplane"]).failed)


def test_of_a_table_that_is_incompatible_nothing_else_is_reported() -> None:
    [check] = failed(load_case(GOLDEN / "cases" / "nat-incompatible"))
    assert (check.id, check.node, check.object) == ("dump.present", "ipt-worker", FILE)
    assert "Table `nat' is incompatible" in check.observed


def test_the_other_tables_of_that_node_are_checked() -> None:
    checks = evaluate_snapshot(load_case(GOLDEN / "cases" / "nat-incompatible")).checks
    tables = [c.object for c in checks if c.node == "ipt-worker" and c.id == "iptables.table"]
    assert tables[:2] == ["iptables filter", "iptables mangle"]


@pytest.mark.parametrize(
    ("iptables", "flag", "missing"),
    [
        ("iptables v1.6.1", "", False),
        ("iptables v1.4.21", "", False),
        ("iptables v1.6.1", FLAG, False),
        ("iptables v1.6.2", "", True),
        ("iptables v1.8.9 (nf_tables)", "", True),
        ("sh: not found", "", True),
    ],
)
def test_random_ports_are_demanded_where_iptables_knows_them(iptables: str, flag: str, missing: bool) -> None:
    found = failed(rich(FLAG, flag, iptables))
    assert any(check.id == "iptables.postrouting" for check in found) == missing
    assert bool(found) == missing


def test_an_unknown_tool_is_taken_for_a_new_one() -> None:
    assert NodeFacts.build(Node("a"), {"tools": ["iptables"]}).random_fully


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-j MASQUERADE --random-fully", "-j MASQUERADE [unsupported revision]"),
        ("-j KUBE-MARK-MASQ", "[unsupported revision] -j KUBE-MARK-MASQ"),
        ("-A FORWARD -m conntrack --ctstate NEW ", "-A FORWARD -m conntrack [unsupported revision] "),
    ],
)
def test_a_rule_that_is_not_printed_whole_is_not_missing(old: str, new: str) -> None:
    [check] = failed(rich(old, new))
    assert check.id == "dump.present"
    assert "could not print this rule whole" in check.observed


def test_a_missing_rule_beside_one_that_is_not_printed_whole_is_found() -> None:
    text = "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n"
    snapshot = rich("-j MASQUERADE --random-fully", "-j MASQUERADE [unsupported revision]")
    first, *others = snapshot.nodes
    files = {**first.files, FILE: first.files[FILE].replace(text, "")}
    ids = {check.id for check in failed(replace(snapshot, nodes=(NodeSnapshot(first.name, files), *others)))}
    assert "iptables.postrouting" in ids
