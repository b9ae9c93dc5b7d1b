"""The report for people: one screen for a healthy lab, each finding with its evidence otherwise."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kubewire.dataplane.findings import Check
from kubewire.dataplane.registry import KINDS
from kubewire.report.folding import Folded, fold
from kubewire.report.model import Report
from kubewire.report.printable import printable
from kubewire.verify.registry import TRAFFIC_KINDS

WIDTH = 80
SHOWN = 20
NOTES_SHOWN = 8
_STYLES = {"passed": "bold green", "failed": "bold red", "error": "bold red"}


def to_text(report: Report, *, width: int = WIDTH) -> str:
    """The report as plain text without any escape sequence."""
    console = Console(file=io.StringIO(), width=width, no_color=True, force_terminal=False, highlight=False)
    console.print(render(report))
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines()) + "\n"


def print_report(report: Report, console: Console) -> None:
    """Print to a terminal, in colours unless NO_COLOR is set, or as plain text to anything else."""
    if console.is_terminal:
        console.print(render(report), highlight=False)
    else:
        console.file.write(to_text(report, width=console.width))


def render(report: Report) -> RenderableType:
    """The whole report as one rich renderable made of Text only, never of markup."""
    parts: list[RenderableType] = [_headline(report), Text(), Padding(_summary(report), (0, 0, 0, 2))]
    failed = fold(sorted((c for c in report.checks if c.status == "failed"), key=_adds_up))
    for folded in failed[:SHOWN]:
        parts += [Text(), *_finding(folded, len(report.nodes))]
    if len(failed) > SHOWN:
        more = f"and {len(failed) - SHOWN} more findings; --format json lists them all"
        parts += [Text(), Text(more)]
    return Group(*parts)


def _adds_up(check: Check) -> bool:
    """Whole-table and cross-node checks only add others up, so they come after them."""
    return check.id.endswith(".table") or check.id == "dataplane.agreement"


def _headline(report: Report) -> Text:
    counts = _plural(report.count("passed"), "check") + f" passed on {_plural(len(report.nodes), 'node')}"
    if report.count("failed"):
        counts = f"{_plural(report.count('failed'), 'check')} failed, {counts}"
    if report.count("skipped"):
        counts += f", {report.count('skipped')} skipped"
    title = report.lab or "snapshot"
    return Text.assemble(
        (printable(title), "bold"), "  ", (report.status, _STYLES[report.status]), "  ", counts
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _summary(report: Report) -> Table:
    grid = _grid()
    for label, text in _facts(report):
        grid.add_row(Text(label, style="dim"), Text(printable(text), overflow="fold"))
    return grid


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield from (line for line in report.story if line[0] == "provider")
    yield "Kubernetes", f"{report.kubernetes or 'unknown'}, kube-proxy in {report.mode or 'unknown'} mode"
    yield "nodes", ", ".join(_node(node.name, node.kube_proxy, report) for node in report.nodes)
    yield from (line for line in report.story if line[0] != "provider")
    yield from _traffic(report.checks)
    yield from _kinds(report.checks)
    yield from (("note", text) for text in report.notes[:NOTES_SHOWN])
    hidden = len(report.notes) - NOTES_SHOWN
    if hidden > 0:
        yield "note", f"and {hidden} more notes; --format json lists them all"


def _node(name: str, version: str, report: Report) -> str:
    return name if version in ("", report.kubernetes) else f"{name} (kube-proxy {version})"


def _traffic(checks: Iterable[Check]) -> Iterator[tuple[str, str]]:
    """`a pod → 10.96.0.9:8000: 13 + 18 + 12 + 15 requests` for every spread that holds."""
    for check in checks:
        if check.id == "traffic.spread" and check.status == "passed":
            yield "traffic", f"{check.object}: {check.observed}"


def _kinds(checks: Iterable[Check]) -> Iterator[tuple[str, str]]:
    """How many checks of each part passed: `iptables 212, route 9, traffic 14`."""
    parts = Counter(check.id.partition(".")[0] for check in checks if check.status == "passed")
    if parts:
        yield "passed", ", ".join(f"{part} {count}" for part, count in sorted(parts.items()))


def _finding(folded: Folded, total: int) -> Iterator[RenderableType]:
    check = folded.check
    title = KINDS[check.id].title if check.id in KINDS else TRAFFIC_KINDS.get(check.id, "")
    yield Text.assemble(("✗ ", "bold red"), (check.id, "bold"), f"  {title}")
    grid = _grid()
    fields = (
        ("node", folded.where(total)),
        ("family", check.family),
        ("service", check.service),
        ("object", check.object),
        ("expected", check.expected or "nothing"),
        ("observed", check.observed or "nothing"),
        ("why", check.reason),
    )
    for label, text in fields:
        if text:
            grid.add_row(Text(label, style="dim"), Text(printable(text), overflow="fold"))
    yield Padding(grid, (0, 0, 0, 2))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid
