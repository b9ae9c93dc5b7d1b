"""Identical findings of several nodes as one."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from kubewire.dataplane.core.findings import Check


class Folded(Struct, frozen=True):
    """A finding and the nodes that have it."""

    check: Check
    nodes: tuple[str, ...]

    def where(self, total: int) -> str:
        """`iptables-worker`, or `3 of 3 nodes` with their names where it is not all of them."""
        if len(self.nodes) < 2:
            return "".join(self.nodes)
        share = f"{len(self.nodes)} of {total} nodes"
        return share if len(self.nodes) == total else f"{share}: {', '.join(self.nodes)}"


def fold(checks: Sequence[Check]) -> list[Folded]:
    """Checks that say the same but for the node together, in the order of the first of each."""
    groups: dict[Check, list[str]] = {}
    for check in checks:
        nodes = groups.setdefault(replace(check, node=""), [])
        if check.node and check.node not in nodes:
            nodes.append(check.node)
    return [Folded(check, tuple(nodes)) for check, nodes in groups.items()]
