"""Drift as text: cause by cause, unknown ones first, each with the objects that changed."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from kubewire.core.printable import printable
from kubewire.matrix.results import ChangeResult, DriftResult, GroupResult

SHOWN = 3
LINES = 6
STYLES = {"open": "bold red", "accepted": "yellow", "known": "cyan"}
MARKS = {"appeared": "+", "vanished": "-", "changed": "~"}


def render(drift: DriftResult, *, everything: bool = False) -> Iterator[Text]:
    """All lines; of known causes only the first few objects unless `everything` is asked for."""
    yield Text(f"{drift.subject}: {drift.before} → {drift.after}", style="bold")
    if not drift.groups:
        yield Text("  nothing changed")
    for group in drift.groups:
        yield from _group(group, everything)


def _group(group: GroupResult, everything: bool) -> Iterator[Text]:
    source = f"  ({group.source})" if group.source else ""
    yield Text.assemble(
        "  ",
        (group.cause, STYLES[group.standing]),
        f": {printable(group.title)}",
        (source, "dim"),
        f"  {_count(group)}",
    )
    if group.reason:
        yield Text(f"      accepted: {printable(group.reason)}", style="yellow")
    all_of_it = everything or group.standing == "open"
    shown = group.changes if all_of_it else group.changes[:SHOWN]
    for change in shown:
        yield from _change(change, len(change.before) + len(change.after) if all_of_it else LINES)
    if len(group.changes) > len(shown):
        yield Text(f"      … and {len(group.changes) - len(shown)} more objects (--all)", style="dim")


def _count(group: GroupResult) -> str:
    kinds = ((kind, sum(change.kind == kind for change in group.changes)) for kind in MARKS)
    return ", ".join(f"{number} {kind}" for kind, number in kinds if number)


def _change(change: ChangeResult, limit: int) -> Iterator[Text]:
    nodes = f"  on {', '.join(change.nodes)}" if change.nodes else ""
    yield Text.assemble(f"    {MARKS[change.kind]} {printable(change.place)}", (nodes, "dim"))
    lines = [("-", line, "red") for line in change.before] + [("+", line, "green") for line in change.after]
    for sign, line, style in lines[:limit]:
        yield Text(f"        {sign} {printable(line)}", style=style)
    if len(lines) > limit:
        yield Text(f"        … and {len(lines) - limit} more lines", style="dim")
