"""Each rule of a real dump deleted, doubled, altered or moved, each chain and table removed: it is found."""

from __future__ import annotations

import re

import pytest

from dataplane_golden import Bench
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.registry import KINDS
from kubewire.dataplane.iptables.observed import parse_iptables_save


def rules(bench: Bench) -> list[int]:
    return [index for index, line in enumerate(bench.dump.splitlines()) if "-A " in line][:: bench.step]


def chain_of(line: str) -> str:
    match = re.search(r"-A (\S+)", line)
    assert match
    return match[1]


def named(checks: list[Check], chain: str) -> bool:
    """The table fails, and a finding of its own names the chain."""
    assert {check.id for check in checks} <= KINDS.keys()
    tables = [check for check in checks if check.id == "iptables.table"]
    return bool(tables) and any(chain in check.object.split() for check in checks)


def test_a_deleted_rule(rich: Bench) -> None:
    for index in rules(rich):
        line = rich.dump.splitlines()[index]
        failed = rich.edited(lambda lines, index=index: lines.pop(index))
        assert named(failed, chain_of(line)), line
        text = line.split(" -A ", 1)[-1].removeprefix("-A ")
        assert any(text in check.expected for check in failed), line


def test_a_doubled_rule(rich: Bench) -> None:
    for index in rules(rich):
        line = rich.dump.splitlines()[index]
        failed = rich.edited(lambda lines, index=index: lines.insert(index, lines[index]))
        assert named(failed, chain_of(line)), line
        assert any("once" in check.reason for check in failed), line


@pytest.mark.parametrize(
    ("pattern", "becomes"),
    [
        (r"--to-destination (\S+?):?(\d+)$", r"--to-destination \1:1"),
        (r"--probability 0\.(\d)", r"--probability 0.9"),
        (r"--dport (\d+)", r"--dport 9\1"),
        (r"-d (\d+)\.", r"-d 9\1."),
        (r"-s (\S+)", r"! -s \1"),
        (r"-j (KUBE-\S+)", r"-g \1"),
        (r"-j (DROP|REJECT.*|RETURN|MASQUERADE.*)$", r"-j ACCEPT"),
        (r"0x4000", r"0x8000"),
        (r"--seconds 600", r"--seconds 60"),
        (r"$", r" -m limit --limit 1/sec"),
    ],
)
def test_an_altered_rule_is_one_finding_with_both_sides(rich: Bench, pattern: str, becomes: str) -> None:
    for index in rules(rich):
        line = rich.dump.splitlines()[index]
        altered = re.sub(pattern, becomes, line, count=1)
        if altered == line:
            continue
        failed = rich.edited(lambda lines, index=index, text=altered: lines.__setitem__(index, text))
        assert named(failed, chain_of(line)), altered
        text = altered.split("-A ", 1)[1]
        assert any(text in check.observed for check in failed), altered
        findings = [check for check in failed if check.id != "iptables.table"]
        assert len(findings) == 1, (altered, findings)


def test_a_missing_chain(rich: Bench) -> None:
    for chain in rich.expected.chains:
        if chain.shared:
            continue
        lines = rich.dump.splitlines()
        start = lines.index(f"*{chain.table}")
        end = lines.index("COMMIT", start)
        gone = (f":{chain.name} ", f"-A {chain.name} ")
        kept = [
            line
            for number, line in enumerate(lines)
            if not (start < number < end and re.sub(r"^\[\d+:\d+\] ", "", line).startswith(gone))
        ]
        assert named(rich.failed("\n".join(kept)), chain.name)


@pytest.mark.parametrize("table", ["nat", "filter", "mangle"])
def test_a_missing_table(rich: Bench, table: str) -> None:
    dump = re.sub(rf"\*{table}\n.*?COMMIT\n", "", rich.dump, flags=re.DOTALL)
    assert parse_iptables_save(dump, rich.family).problems == ()
    failed = rich.failed(dump)
    assert [check.observed for check in failed if check.id == "iptables.table"] == [f"(no table {table})"]


def test_two_rules_swapped_where_order_matters(rich: Bench) -> None:
    ordered = re.compile(r"KUBE-(SVC-\S+|SVL-\S+|EXT-\S+|SEP-\S+|FORWARD|POSTROUTING)")
    seen = 0
    lines = rich.dump.splitlines()
    for index in rules(rich):
        here, there = lines[index : index + 2]
        if "-A " not in there or chain_of(here) != chain_of(there) or not ordered.fullmatch(chain_of(here)):
            continue
        swapped = [*lines[:index], there, here, *lines[index + 2 :]]
        failed = rich.failed("\n".join(swapped) + "\n")
        assert [check.id for check in failed] == ["iptables.order", "iptables.table"], here
        seen += 1
    assert seen


def test_services_may_stand_in_any_order_but_the_tail_is_last(worker: Bench) -> None:
    lines = worker.dump.splitlines()
    at = [
        index
        for index, line in enumerate(lines)
        if line.startswith("-A KUBE-SERVICES") and " -j KUBE-" in line
    ]
    first, tail = at[0], at[-1]
    assert "NOTE: this must be the last rule" in lines[tail]
    turned = list(lines)
    turned[first:tail] = reversed(lines[first:tail])
    assert worker.failed("\n".join(turned)) == []
    turned = list(lines)
    turned.insert(first, turned.pop(tail))
    assert [check.id for check in worker.failed("\n".join(turned))] == ["iptables.order", "iptables.table"]


def test_the_counting_node_port_rule_stands_before_its_twin(worker: Bench) -> None:
    lines = worker.dump.splitlines()
    at = next(index for index, line in enumerate(lines) if "localhost_nps_accepted_pkts" in line)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    assert [check.id for check in worker.failed("\n".join(lines))] == ["iptables.order", "iptables.table"]
