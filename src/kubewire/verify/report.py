"""The report of a verify run, as in the report contract, and how its status is decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from kubewire.dataplane.core.findings import Check, IpFamily, Note
from kubewire.verify.causes import linked

SCHEMA = 1
TABLE_CHECKS = {"iptables": "iptables.table", "nftables": "nftables.table", "ipvs": "ipvs.table"}
CHECK_KEYS = ("id", "node", "family", "service", "object", "status", "reason", "expected", "observed")
Status = Literal["passed", "failed", "error"]


class ReportNode(Struct, frozen=True):
    """A node and the version of its kube-proxy, "" when unknown."""

    name: str
    kube_proxy: str = ""


class Report(Struct, frozen=True):
    """All checks of one verify run. `story` is for people: (label, text) lines on the main Service's path."""

    lab: str
    provider: str
    kubernetes: str
    mode: str
    status: Status
    nodes: tuple[ReportNode, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    story: tuple[tuple[str, str], ...] = ()

    def count(self, status: str) -> int:
        """How many checks have that status."""
        found: list[str] = [check.status for check in self.checks]
        return found.count(status)

    @property
    def exit_code(self) -> int:
        """0: all that ran passed, and enough ran; 1: a check failed; 4: too little could be checked."""
        return {"passed": 0, "failed": 1, "error": 4}[self.status]

    def to_json(self) -> str:
        """The contract's JSON, indented, ASCII only (so that no control character reaches a terminal)."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The JSON report of the contract."""
        return {
            "schema": SCHEMA,
            **{key: getattr(self, key) for key in ("lab", "provider", "kubernetes", "mode", "status")},
            "summary": {status: self.count(status) for status in ("passed", "failed", "skipped")},
            "notes": list(self.notes),
            "nodes": [{"name": node.name, "kube_proxy": node.kube_proxy} for node in self.nodes],
            "checks": [
                {key: getattr(check, key) for key in CHECK_KEYS}
                | ({"cause": list(check.cause)} if check.cause else {})
                for check in self.checks
            ],
        }


def build_report(
    *,
    lab: str,
    provider: str,
    kubernetes: str,
    mode: str,
    nodes: Sequence[ReportNode],
    families: Iterable[IpFamily],
    checks: Sequence[Check],
    notes: Sequence[Note],
    story: Sequence[tuple[str, str]] = (),
) -> Report:
    """Decide the status: failed if a check failed; passed only if every node has a passed whole-table check
    in each address family in use; error otherwise, since too little could be checked.
    """
    gaps = coverage_gaps(mode, [node.name for node in nodes], families, checks)
    failed = any(check.status == "failed" for check in checks)
    status: Status = "failed" if failed else "error" if gaps else "passed"
    return Report(
        lab=lab,
        provider=provider,
        kubernetes=kubernetes,
        mode=mode,
        status=status,
        nodes=tuple(nodes),
        checks=tuple(_in_order(linked(unique(checks)))),
        notes=(*folded(notes, len(nodes)), *gaps),
        story=tuple(story),
    )


def folded(notes: Iterable[Note], total: int) -> list[str]:
    """The notes as text, each once: `worker: …`, or `3 of 3 nodes: …` where several nodes have it."""
    nodes: dict[str, dict[str, None]] = {}
    for note in notes:
        nodes.setdefault(note.text, {}).update({note.node: None} if note.node else {})
    return [f"{_where(list(names), total)}{text}" for text, names in nodes.items()]


def _where(names: Sequence[str], total: int) -> str:
    if len(names) < 2:
        return "".join(f"{name}: " for name in names)
    return f"{len(names)} of {total} nodes: "


def coverage_gaps(
    mode: str, nodes: Sequence[str], families: Iterable[IpFamily], checks: Sequence[Check]
) -> list[str]:
    """Which nodes and families lack a passed whole-table check, as notes."""
    wanted = TABLE_CHECKS.get(mode, "")
    told = {(check.node, check.family) for check in checks if check.id == wanted and check.status == "passed"}
    if not nodes:
        return ["no node was checked"]
    return [
        f"{node}: no {mode or 'dataplane'} table was checked for {family}"
        for node in nodes
        for family in families
        if (node, family) not in told
    ]


def unique(checks: Iterable[Check]) -> list[Check]:
    """Checks with one identity (id, node, service, object) each: repetitions dropped, also a pass beside a
    failure; both families told apart by the object, and several findings on one object numbered.
    """
    groups: dict[tuple[str, str, str, str], Check | list[Check]] = {}
    for check in checks:
        key = check.id, check.node, check.service, check.object
        known = groups.setdefault(key, check)
        if isinstance(known, list):
            known.append(check)
        elif known is not check:
            groups[key] = [known, check]
    return [
        check
        for group in groups.values()
        for check in (_told_apart(group) if isinstance(group, list) else (group,))
    ]


def _told_apart(group: list[Check]) -> Iterator[Check]:
    by_family: dict[str, list[Check]] = {}
    for check in dict.fromkeys(group):
        by_family.setdefault(check.family, []).append(check)
    for family, same in by_family.items():
        worst = min(_RANK[check.status] for check in same)
        kept = [check for check in same if _RANK[check.status] == worst]
        kept = kept if worst == _RANK["failed"] else kept[:1]
        for number, check in enumerate(kept, 1):
            marks = ([family] if len(by_family) > 1 and family else []) + (
                [str(number)] if number > 1 else []
            )
            yield replace(check, object=f"{check.object} ({', '.join(marks)})") if marks else check


_RANK = {"failed": 0, "passed": 1, "skipped": 2}


def _in_order(checks: Iterable[Check]) -> Iterator[Check]:
    """By node, id, family, service and object."""
    kinds: dict[tuple[str, str, str], list[Check]] = {}
    for check in checks:
        kinds.setdefault((check.node, check.id, check.family), []).append(check)
    for _, members in sorted(kinds.items()):
        yield from sorted(members, key=attrgetter("service", "object"))
