"""Findings for people: each leading one once for all its nodes, as a sentence, with what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.registry import KINDS
from kubewire.verify.causes import leading

SHOWN = 3
LONGEST = 120


class Folded(Struct, frozen=True):
    """A finding, the nodes that have it, and how many checks of each kind follow from it on all of them."""

    check: Check
    nodes: tuple[str, ...]
    consequences: Counter[str]

    def where(self, total: int) -> str:
        """`iptables-worker`, or `3 of 3 nodes` with their names where it is not all of them."""
        if len(self.nodes) < 2:
            return "".join(self.nodes)
        share = f"{len(self.nodes)} of {total} nodes"
        return share if len(self.nodes) == total else f"{share}: {', '.join(self.nodes)}"

    def headline(self, total: int) -> str:
        """The finding and its nodes in one line."""
        where = self.where(total)
        return sentence(self.check) + (f", on {where}" if where else "")

    def followers(self) -> str:
        """`12 consequences: iptables.table, iptables.endpoint.dnat 4 and 2 more kinds`, "" for none."""
        number = self.consequences.total()
        kinds = [kind + (f" {count}" if count > 1 else "") for kind, count in self.consequences.most_common()]
        more = f" and {len(kinds) - SHOWN} more kinds" if len(kinds) > SHOWN else ""
        shown = ", ".join(kinds[:SHOWN])
        return f"{number} consequence{'s' if number > 1 else ''}: {shown}{more}" if number else ""


def fold(checks: Iterable[Check]) -> list[Folded]:
    """The leading failures, those that differ only in the node together, the most telling first."""
    found = list(checks)
    groups: dict[Check, list[Check]] = {}
    for check in leading(found):
        groups.setdefault(replace(check, node=""), []).append(check)
    following: dict[tuple[str, ...], Counter[str]] = {}
    for check in found:
        if check.cause:
            following.setdefault(check.cause, Counter())[check.id] += 1
    return [
        Folded(check, _nodes(same), sum((following.get(c.key, Counter()) for c in same), Counter[str]()))
        for check, same in groups.items()
    ]


def _nodes(checks: Sequence[Check]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check.node for check in checks if check.node))


def sentence(check: Check) -> str:
    """What a failed check found, in one line."""
    observed, *more = check.observed.split("\n")
    wanted, *others = check.expected.split("\n")
    if check.id in KINDS and KINDS[check.id].plain:
        return observed + _more(more)
    observed, wanted = (text if len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in (observed, wanted))
    if check.id == "dump.present":
        return f"{check.object}: {observed}"
    if observed.startswith("(no ") or (observed == "(missing)" and (" -> " in check.object or not wanted)):
        return f"{check.object} is missing"
    if observed == "(missing)":
        return f"{check.object} lacks {wanted}{_more(others)}"
    if wanted == "(nothing)":
        does = check.reason.partition("; ")[0] if check.id.endswith(".stray") else ""
        where = f"{does}: in {check.object}" if does else f"{check.object} has what must not be there"
        return f"{where}: {observed}{_more(more)}"
    instead = f"instead of {wanted or 'nothing'}"
    return f"{check.object or check.id} has {observed or 'nothing'}{_more(more)} {instead}"


def _more(lines: Sequence[str]) -> str:
    return f" and {len(lines)} more" if lines else ""
