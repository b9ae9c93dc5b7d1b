"""A report for people may count what stands in a dump word for word; it says what the whole one says."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from dataplane_golden import goldens, load
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.report.text import to_text
from kubewire.snapshot.folder import read_snapshot
from kubewire.verify.evaluate import judge_snapshot, report_of
from kubewire.verify.report import Report
from repository import GOLDEN

LABS = sorted((GOLDEN / "verify").iterdir())
DUMPS = (
    *("iptables-save.txt", "ip6tables-save.txt", "nft-ip.json", "nft-ip6.json"),
    *("ipset-save.txt", "ipvsadm-save.txt", "ip-addr.json"),
)


def judged(snapshot: Snapshot, *, brief: bool) -> Report:
    verdict = judge_snapshot(snapshot, brief=brief)
    return report_of(snapshot, verdict.checks, verdict.notes, held=verdict.held)


def passed(report: Report) -> Counter[str]:
    return Counter(check.id for check in report.checks if check.status == "passed") + Counter(report.held)


def single_nodes() -> Iterator[Snapshot]:
    """Every node of every recorded snapshot, alone."""
    for snapshot in (*map(load, goldens("v1.")), *map(read_snapshot, LABS)):
        for node in snapshot.nodes:
            yield Snapshot(snapshot.cluster, (node,), snapshot.meta)


def the_same(snapshot: Snapshot) -> Report:
    whole, brief = judged(snapshot, brief=False), judged(snapshot, brief=True)
    assert not whole.held
    assert passed(brief) == passed(whole)
    assert to_text(brief) == to_text(whole)
    if whole.status != "passed":
        assert brief == whole
    return brief


def test_every_recorded_node_is_told_the_same() -> None:
    reports = [the_same(snapshot) for snapshot in single_nodes()]
    assert any(report.held for report in reports)


def test_several_nodes_are_told_the_same() -> None:
    for lab in LABS:
        assert not the_same(read_snapshot(lab)).held


def damaged(text: str, chance: random.Random) -> str:
    """A line lost, repeated, moved, or with another character in it."""
    lines = text.splitlines(keepends=True)
    at, other = (chance.randrange(len(lines)) for _ in range(2))
    match chance.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines.insert(other, lines.pop(at))
        case 3:
            lines[at : at + 2] = reversed(lines[at : at + 2])
        case _:
            place = chance.randrange(len(lines[at]))
            lines[at] = lines[at][:place] + chance.choice("0159aKx- .") + lines[at][place + 1 :]
    return "".join(lines)


@pytest.mark.parametrize("seed", range(8))
def test_damage_is_told_the_same(seed: int) -> None:
    chance = random.Random(seed)
    for snapshot in single_nodes():
        (node,) = snapshot.nodes
        files = [name for name in DUMPS if node.files.get(name)]
        name = chance.choice(files)
        broken = {**node.files, name: damaged(node.files[name], chance)}
        try:
            judged(Snapshot(snapshot.cluster, (replace(node, files=broken),), snapshot.meta), brief=False)
        except (ValueError, TypeError, LookupError, AttributeError):
            continue
        the_same(Snapshot(snapshot.cluster, (replace(node, files=broken),), snapshot.meta))
