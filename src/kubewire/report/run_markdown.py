"""A nightly as Markdown, for $GITHUB_STEP_SUMMARY: the matrix as a table, then what is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubewire.binaries.versions import sort_key
from kubewire.core.printable import printable
from kubewire.matrix.results import CellResult, Run, tally

MARKS = {"passed": "✅", "failed": "❌", "error": "💥", "skipped": "⏭", "missing": "⋯"}
SHOWN = 20
LINES = 12
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


def run_to_markdown(run: Run) -> str:
    """The text; output of nodes is in code blocks or escaped."""
    return "\n".join([*_head(run), *_table(run), *_legend(run), *_drift(run), *_bad(run)]) + "\n"


def _head(run: Run) -> Iterator[str]:
    yield f"## {MARKS[run.status]} kubewire nightly: {tally(run.cells)}"
    yield ""
    if run.partial:
        yield "**Partial: the run ended before all cells had run.**"
        yield ""
    for note in run.notes:
        yield f"> **{escaped(note)}**"
        yield ""


def _table(run: Run) -> Iterator[str]:
    columns = list(dict.fromkeys((cell.lab, cell.mode, cell.provider) for cell in run.cells))
    versions = sorted({cell.kubernetes for cell in run.cells}, key=sort_key, reverse=True)
    found = {(cell.kubernetes, cell.lab, cell.mode, cell.provider): cell for cell in run.cells}
    yield "| Kubernetes | " + " | ".join(escaped(f"{lab} {mode} {on}") for lab, mode, on in columns) + " |"
    yield "|---|" + ":---:|" * len(columns)
    for version in versions:
        row = [found.get((version, *column)) for column in columns]
        yield f"| {version} | " + " | ".join(_mark(cell) for cell in row) + " |"
    yield ""


def _mark(cell: CellResult | None) -> str:
    if cell is None:
        return ""
    mark = MARKS[cell.status]
    if cell.status == "passed":
        return f"{mark} {cell.summary.passed}"
    return f"{mark} {cell.summary.failed} failed" if cell.status == "failed" else mark


def _legend(run: Run) -> Iterator[str]:
    beside = {cell.control_plane for cell in run.cells if cell.control_plane not in ("", cell.kubernetes)}
    if beside:
        told = ", ".join(sorted(beside, key=sort_key))
        yield f"Where the control plane is not of kube-proxy's own version, it is of {told}."
        yield ""


def _drift(run: Run) -> Iterator[str]:
    """Open drift with its lines; the rest as a list of causes."""
    for each in run.drift:
        if each.since == "version" and all(group.standing == "known" for group in each.groups):
            continue
        yield f"### Drift of {escaped(each.subject)}, {each.before} → {each.after}"
        yield ""
        for group in each.groups:
            about = f"({len(group.changes)} objects, {group.standing})"
            words = (f"- **{escaped(group.cause)}**:", escaped(group.title), about, escaped(group.reason))
            yield " ".join(word for word in words if word)
        yield ""
        for change in [c for group in each.groups if group.standing == "open" for c in group.changes][:SHOWN]:
            lines = [f"- {line}" for line in change.before] + [f"+ {line}" for line in change.after]
            yield from _code("\n".join([f"{change.kind} {change.place}", *lines]))


def _bad(run: Run) -> Iterator[str]:
    for cell in run.cells:
        if cell.status in ("passed", "missing"):
            continue
        yield f"### {MARKS[cell.status]} {escaped(cell.id)}"
        yield ""
        if cell.reason:
            yield from _code(cell.reason)
        failed = [check for check in cell.findings if not check.cause]
        for check in failed[:SHOWN]:
            subject = " ".join(part for part in (check.node, check.service, check.object) if part)
            yield f"**{escaped(check.id)}** {escaped(subject)}"
            yield ""
            yield from _code(f"expected {check.expected}\nobserved {check.observed}\n{check.reason}")
        if len(failed) > SHOWN:
            yield f"… and {len(failed) - SHOWN} more"
            yield ""
        if followers := len(cell.findings) - len(failed):
            yield f"{followers} more failures follow from that"
            yield ""


def _code(text: str) -> Iterator[str]:
    """A fenced block; the fence is longer than any in the text."""
    lines = printable(text).split("\n")
    cut = lines[:LINES] + ([f"… {len(lines) - LINES} more lines"] if len(lines) > LINES else [])
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield fence
    yield from cut
    yield fence
    yield ""


def escaped(text: str) -> str:
    """Escaped text on one line."""
    return _SPECIAL.sub(r"\\\1", printable(text).replace("\n", " "))
