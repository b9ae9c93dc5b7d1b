"""Rules of others without end or sense: bounded work and few lines, told as not known, nothing false said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from kubewire.dataplane import effect
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NFT_FOREIGN
from kubewire.dataplane.trace.hooks import Rules
from kubewire.verify.offline import verify_folder
from kubewire.verify.report import Report
from repository import GOLDEN

MANY, LEVELS, ENOUGH = 1000, 60, 4000
LEFT = "a foreign rule, left alone"


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each rule that is evaluated, once for each packet: no more than ENOUGH, however large the dump is."""
    found: list[str] = []
    results = Rules.results

    def counted(self: Rules, rule: Any, *others: Any) -> Any:
        found.append(rule.text)
        return results(self, rule, *others)

    monkeypatch.setattr(Rules, "results", counted)
    monkeypatch.setattr(effect, "MOST_MET", ENOUGH)
    monkeypatch.setattr(effect, "MOST_OF_EACH", 0)
    return found


def node(tmp_path: Path, mode: str) -> Path:
    """One worker of a recorded lab, alone."""
    lab = Path(shutil.copytree(GOLDEN / "verify" / f"{mode}-v1.37.2", tmp_path / mode))
    for folder in (lab / "nodes").iterdir():
        if folder.name != f"{mode}-worker":
            shutil.rmtree(folder)
    return lab / "nodes" / f"{mode}-worker"


def verified(folder: Path) -> Report:
    return verify_folder(folder.parents[1])


def with_rules(folder: Path, rules: Iterable[str], chains: Iterable[str] = ()) -> Report:
    """With these rules in front of the filter table's own."""
    file = folder / "iptables-save.txt"
    head, table, rest = file.read_text().partition("*filter\n")
    declared, first, rules_there = rest.partition("-A ")
    added = [*(f":{chain} - [0:0]" for chain in chains), *rules]
    file.write_text(head + table + declared + "".join(f"{line}\n" for line in added) + first + rules_there)
    return verified(folder)


def strays(report: Report) -> dict[str, Check]:
    return {each.object: each for each in report.checks if each.id.endswith(".stray")}


@pytest.mark.parametrize(
    "rule",
    [
        lambda n: f"-A FORWARD -s 10.{n // 250 + 1}.{n % 250}.7/32 -p tcp -m tcp --dport {n + 1} -j DROP",
        lambda n: f"-A FORWARD -s 10.{n // 250 + 1}.{n % 250}.7/32 -m never-heard-of --it {n} -j DROP",
    ],
)
def test_a_thousand_rules_that_no_packet_meets_are_a_few_lines(
    rule: Callable[[int], str], tmp_path: Path
) -> None:
    report = with_rules(node(tmp_path, "iptables"), map(rule, range(MANY)))
    assert report.status == "passed"
    assert strays(report)["iptables filter FORWARD"].status == "passed"
    assert sum(LEFT in note for note in report.notes) == 20
    assert any("iptables filter FORWARD: 980 more foreign rules, left alone" in note for note in report.notes)


@pytest.mark.parametrize(
    "rule", ["-A FORWARD -m never-heard-of --it {} -j DROP", "-A FORWARD -j NEVER --it {}"]
)
def test_a_thousand_extensions_never_heard_of_may_drop(rule: str, tmp_path: Path) -> None:
    report = with_rules(node(tmp_path, "iptables"), map(rule.format, range(MANY)))
    assert report.status == "passed"
    assert sum("may drop packets" in note for note in report.notes) == 5
    assert not any(LEFT in note for note in report.notes)
    assert len(report.notes) < 40


DOUBLING = [
    "-A FORWARD -j L0",
    *(f"-A L{n} -j L{n + 1}" for n in range(LEVELS) for _ in "ab"),
    f"-A L{LEVELS} -s 192.0.2.1/32 -j DROP",
    "-A FORWARD -p tcp -j DROP",
]
CHANCES = [
    *(
        f"-A FORWARD -m statistic --mode random --probability 0.5 -j MARK --set-xmark {bit:#x}/{bit:#x}"
        for bit in (1 << n for n in range(31))
    ),
    "-A FORWARD -p tcp -j DROP",
]


@pytest.mark.parametrize("rules", [DOUBLING, CHANCES], ids=["doubling jumps", "chances"])
def test_more_ways_than_can_be_followed_are_not_judged(
    rules: list[str], met: list[str], tmp_path: Path
) -> None:
    report = with_rules(node(tmp_path, "iptables"), rules, (f"L{n}" for n in range(LEVELS + 1)))
    assert len(met) <= ENOUGH
    forward = strays(report)["iptables filter FORWARD"]
    assert forward.status == "skipped"
    assert f"packets meet more than {ENOUGH} rules" in forward.reason
    assert not any("left alone" in note for note in report.notes)
    assert any("its effect is not known" in note for note in report.notes)


def test_chains_a_thousand_deep_may_drop(met: list[str], tmp_path: Path) -> None:
    names = [f"L{n}" for n in range(MANY)]
    deep = ["-A FORWARD -j L0", *(f"-A L{n} -j L{n + 1}" for n in range(MANY - 1)), f"-A L{MANY - 1} -j DROP"]
    report = with_rules(node(tmp_path, "iptables"), deep, names)
    assert len(met) <= ENOUGH
    assert report.status == "passed"
    assert any("may drop packets" in note and "more than 64 deep" in note for note in report.notes)
    assert any("L0" in note and "and 950 more" in note for note in report.notes)


def table(family: str = "inet") -> dict[str, Any]:
    return {"table": {"family": family, "name": "other", "handle": 1}}


def base(family: str = "inet") -> dict[str, Any]:
    hook = {"type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}
    return {"chain": {"family": family, "table": "other", "name": "fw", "handle": 1, **hook}}


def rule(chain: str, expr: list[Any]) -> dict[str, Any]:
    return {"rule": {"family": "inet", "table": "other", "chain": chain, "handle": 2, "expr": expr}}


def with_tables(folder: Path, objects: list[Any]) -> Report:
    (folder / NFT_FOREIGN).write_text(json.dumps({"nftables": objects}))
    return verified(folder)


def test_statements_never_heard_of_may_drop(tmp_path: Path) -> None:
    odd = [rule("fw", [{"frob": {"it": n}}, {"drop": None}]) for n in range(MANY)]
    report = with_tables(node(tmp_path, "nftables"), [table(), base(), *odd])
    assert report.status == "passed"
    assert sum("may drop packets" in note for note in report.notes) == 5
    assert len(report.notes) < 80


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps({"nftables": [table("frob"), base("frob")]}), "table frob other"),
        ('{"nftables": [{"ta', "the dump is cut off or no JSON"),
        ('{"nftables":' + "[" * 100_000, "the dump is cut off or no JSON"),
        (json.dumps({"nftables": [rule("fw", [{"drop": None}])]}), "a chain that the dump doesn't have"),
        (
            json.dumps({"nftables": [table(), base(), rule("fw", [{"jump": {"target": "lost"}}])]}),
            "chain lost",
        ),
    ],
    ids=["unknown family", "cut", "deep", "half a table", "a chain is missing"],
)
def test_tables_that_cannot_be_read_are_told(mode: str, text: str, said: str, tmp_path: Path) -> None:
    folder = node(tmp_path, mode)
    (folder / NFT_FOREIGN).write_text(text)
    report = verified(folder)
    assert report.status == "passed"
    assert any(said in note and "its effect is not known" in note for note in report.notes), report.notes
