"""The report as text: one screen for a healthy lab, otherwise each finding with its evidence."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator

from kubewire.core import console
from kubewire.core.console import Screen
from kubewire.core.printable import one_line, printable
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.registry import title_of
from kubewire.report.findings import Folded, fold
from kubewire.report.layout import Line, columns, plain
from kubewire.report.layout import fold as fold_text
from kubewire.verify.report import Report

WIDTH = 80
SHOWN = 20
NOTES_SHOWN = 8
SCREEN = 24
CLIPPED = {"expected": 4, "observed": 4, "why": 2, "node": 2, "object": 2, "and": 2}
"""Lines of a finding's fields at most; the JSON report has all."""
_BESIDE = ("Kubernetes", "nodes", "note", "provider", "passed")
_STYLES = {"passed": "bold green", "failed": "bold red", "error": "bold red"}


def to_text(report: Report, *, width: int = WIDTH) -> str:
    """The report as plain text without any escape sequence."""
    return plain(render(report, width))


def print_report(report: Report, screen: Screen) -> None:
    """Print to a terminal, in colours unless NO_COLOR is set, or as plain text to anything else."""
    for line in render(report, screen.width):
        screen.line(*line)


def show(report: Report) -> None:
    """Print to standard output; rich is loaded only for a terminal."""
    if console.is_styled():
        print_report(report, Screen())
    else:
        console.block(to_text(report, width=_width()))


def _width() -> int:
    """COLUMNS, else the width of the terminal that the process has, else 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given):
        return int(given)
    for descriptor in (0, 2):
        try:
            return os.get_terminal_size(descriptor).columns or WIDTH
        except OSError:
            continue
    return WIDTH


def render(report: Report, width: int) -> Iterator[Line]:
    """The whole report, folded to that width; nothing in it is ever markup.

    One with failures begins with the leading finding in one line, and has at most a screen for each.
    """
    failed = fold(report.checks)
    if not failed:
        yield from fold_text(_headline(report), width)
        yield ()
        yield from columns([(label, printable(text)) for label, text in _facts(report)], width)
        return
    head = [((one_line(failed[0].headline(len(report.nodes))), "bold red"),)]
    lines: list[Line] = [*head, *fold_text(_headline(report), width)]
    for folded in failed[:SHOWN]:
        lines += [(), *_finding(folded, len(report.nodes), width)]
    if len(failed) > SHOWN:
        more = f"and {len(failed) - SHOWN} more findings; --format json lists them all"
        lines += [(), *fold_text([(more, "")], width)]
    facts = list(columns([(label, printable(text)) for label, text in _about(report)], width))
    room = SCREEN - len(lines) - 1 if len(failed) == 1 else len(facts)
    if room < len(facts):
        facts = [
            *facts[: max(room - 1, 0)],
            *([(("  … more with --format json", "dim"),)] if room > 0 else []),
        ]
    yield from [*lines, *([()] if facts else []), *facts]


def _headline(report: Report) -> Line:
    counts = _plural(report.count("passed"), "check") + f" passed on {_plural(len(report.nodes), 'node')}"
    if report.count("failed"):
        counts = f"{_plural(report.count('failed'), 'check')} failed, {counts}"
    if report.count("skipped"):
        counts += f", {report.count('skipped')} skipped"
    title = report.lab or "snapshot"
    return (
        (printable(title), "bold"),
        ("  ", ""),
        (report.status, _STYLES[report.status]),
        (f"  {counts}", ""),
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield from (line for line in report.story if line[0] == "provider")
    yield "Kubernetes", f"{report.kubernetes or 'unknown'}, kube-proxy in {report.mode or 'unknown'} mode"
    yield "nodes", ", ".join(_node(node.name, node.kube_proxy, report) for node in report.nodes)
    yield from (line for line in report.story if line[0] != "provider")
    yield from _traffic(report.checks)
    yield from _kinds(report)
    yield from (("note", text) for text in report.notes[:NOTES_SHOWN])
    hidden = len(report.notes) - NOTES_SHOWN
    if hidden > 0:
        yield "note", f"and {hidden} more notes; --format json lists them all"


def _about(report: Report) -> list[tuple[str, str]]:
    """The facts beside failures: what was checked, and the notes."""
    return sorted(
        (fact for fact in _facts(report) if fact[0] in _BESIDE), key=lambda fact: _BESIDE.index(fact[0])
    )


def _node(name: str, version: str, report: Report) -> str:
    return name if version in ("", report.kubernetes) else f"{name} (kube-proxy {version})"


def _traffic(checks: Iterable[Check]) -> Iterator[tuple[str, str]]:
    """`a pod → 10.96.0.9:8000: 13 + 18 + 12 + 15 requests` for every spread check that passed."""
    for check in checks:
        if check.id == "traffic.spread" and check.status == "passed":
            yield "traffic", f"{check.object}: {check.observed}"


def _kinds(report: Report) -> Iterator[tuple[str, str]]:
    """How many checks of each part passed: `iptables 212, route 9, traffic 14`."""
    parts: Counter[str] = Counter()
    passed = Counter(check.id for check in report.checks if check.status == "passed")
    for name, count in passed.items():
        parts[name.partition(".")[0]] += count
    if parts:
        yield "passed", ", ".join(f"{part} {count}" for part, count in sorted(parts.items()))


def _finding(folded: Folded, total: int, width: int) -> Iterator[Line]:
    check = folded.check
    title = f"  {title_of(check.id)}"
    yield from fold_text([("✗ ", "bold red"), (check.id, "bold"), (title, "")], width)
    fields = (
        ("node", folded.where(total)),
        ("family", check.family),
        ("service", check.service),
        ("object", check.object),
        ("expected", check.expected or "nothing"),
        ("observed", check.observed or "nothing"),
        ("why", check.reason),
        ("and", folded.followers()),
    )
    rows = [(label, printable(text)) for label, text in fields if text]
    yield from columns(rows, width, CLIPPED)
