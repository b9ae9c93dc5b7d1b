"""A nightly as one self-contained HTML page: no script, nothing fetched, all text escaped. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from kubewire.binaries.versions import sort_key
from kubewire.core.printable import printable
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.registry import title_of
from kubewire.dataplane.explain_service import Explanation
from kubewire.matrix.results import WORDS, CellResult, CheckResult, Run, tally

TEMPLATE = Path(__file__).with_name("nightly.html.j2")
MARKS = {"passed": "✔", "failed": "✘", "error": "!", "skipped": "–", "missing": "…"}  # noqa: RUF001
BAD = ("failed", "error")
PHASES = ("cluster", "workload", "verify", "snapshot", "total")
WIDTH = 1000
SHOWN = 8
"""How many changed objects of one cause are shown; the others are in a closed section."""


def run_to_html(run: Run, pairs: Iterable[tuple[Explanation, Explanation]] = ()) -> str:
    """The page's text; `pairs` are explanations of one Service in two versions, the older first."""
    return _template().render(run=run, page=_page(run, pairs))


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_shown, auto_reload=False
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _shown(value: Any) -> Any:
    """Control characters as escapes; the escaping of HTML comes after this."""
    return printable(value) if type(value) is str else value


def _page(run: Run, pairs: Iterable[tuple[Explanation, Explanation]]) -> dict[str, Any]:
    columns = list(dict.fromkeys((cell.lab, cell.mode, cell.provider) for cell in run.cells))
    found = {(cell.kubernetes, cell.lab, cell.mode, cell.provider): cell for cell in run.cells}
    versions = sorted({cell.kubernetes for cell in run.cells}, key=sort_key, reverse=True)
    beside = {cell.control_plane for cell in run.cells if cell.control_plane not in ("", cell.kubernetes)}
    bars = list(_bars(run.cells))
    return {
        "headline": tally(run.cells),
        "status": run.status,
        "mark": MARKS[run.status],
        "when": _when(run.started, run.finished),
        "shown": SHOWN,
        "memory": round(run.machine.memory_bytes / 2**30, 1),
        "columns": [{"lab": lab, "mode": mode, "provider": provider} for lab, mode, provider in columns],
        "rows": [
            {"version": version, "tiles": [_tile(found.get((version, *column))) for column in columns]}
            for version in versions
        ],
        "beside": ", ".join(sorted(beside, key=sort_key)),
        "drifts": [
            ("What drifted from the baseline", _drifts(run, "baseline")),
            ("What changes from version to version", _drifts(run, "version")),
        ],
        "pairs": [_pair(older, newer) for older, newer in pairs],
        "phases": [phase for phase in PHASES if any(phase in cell.seconds for cell in run.cells)],
        "bars": bars,
        "cells": [_cell(cell) for cell in sorted(run.cells, key=lambda cell: cell.status not in BAD)],
    }


def _when(started: str, finished: str) -> str:
    """`2026-11-25 02:17:00 to 02:21:48 UTC`, with the second date only if it is another one."""
    first, last = (text.removesuffix("Z").split("T") for text in (started, finished))
    return f"{' '.join(first)} to {' '.join(last[1:] if last[:1] == first[:1] else last)} UTC"


def _tile(cell: CellResult | None) -> dict[str, str] | None:
    if cell is None:
        return None
    return {
        "status": cell.status,
        "anchor": _anchor(cell.id),
        "mark": MARKS[cell.status],
        "word": f"{cell.summary.failed} failed" if cell.status == "failed" else WORDS[cell.status],
        "detail": _detail(cell),
    }


def _detail(cell: CellResult) -> str:
    if cell.status in ("passed", "failed"):
        checks = cell.summary.passed + cell.summary.failed
        return f"{checks} checks, {sum(cell.seconds.values()):.1f} s"
    first = cell.reason.splitlines()[0] if cell.reason else ""
    return first if len(first) <= 60 else f"{first[:59]}…"


def _anchor(cell_id: str) -> str:
    return "cell-" + re.sub(r"[^A-Za-z0-9.-]", "-", cell_id)


def _drifts(run: Run, since: str) -> list[dict[str, Any]]:
    return [
        {
            "subject": each.subject,
            "before": each.before,
            "after": each.after,
            "open": any(group.standing == "open" for group in each.groups),
            "groups": each.groups,
        }
        for each in run.drift
        if each.since == since
    ]


def _bars(cells: Sequence[CellResult]) -> Iterator[dict[str, Any]]:
    longest = max((sum(cell.seconds.values()) for cell in cells), default=0.0)
    for cell in cells:
        if not cell.seconds or not longest:
            continue
        parts, left = [], 0.0
        for phase in PHASES:
            seconds = cell.seconds.get(phase, 0.0)
            width = WIDTH * seconds / longest
            if seconds:
                parts.append(
                    {"phase": phase, "seconds": seconds, "x": round(left, 1), "width": round(width, 1)}
                )
            left += width
        told = ", ".join(f"{part['phase']} {part['seconds']} s" for part in parts)
        yield {"id": cell.id, "parts": parts, "told": told, "total": round(sum(cell.seconds.values()), 1)}


def _cell(cell: CellResult) -> dict[str, Any]:
    return {
        "result": cell,
        "anchor": _anchor(cell.id),
        "mark": MARKS[cell.status],
        "word": WORDS[cell.status],
        "detail": _detail(cell) if cell.status != "error" else "",
        "bad": cell.status in BAD,
        "failed": [_failed(check) for check in cell.findings if not check.cause],
        "others": list(_others(cell.checks)),
    }


def _failed(check: Check) -> dict[str, Any]:
    about = (
        ("node", check.node),
        ("Service", check.service),
        ("object", check.object),
        ("why", check.reason),
    )
    return {
        "id": check.id,
        "title": title_of(check.id),
        "about": [(name, value) for name, value in about if value],
        "expected": check.expected or "nothing",
        "observed": check.observed or "nothing",
    }


def _others(checks: Sequence[CheckResult]) -> Iterator[dict[str, Any]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for check in checks:
        if check.status != "failed" or check.cause:
            words = (check.node, check.service, check.object, check.family)
            line = " · ".join(word for word in words if word) + (
                f": {check.reason}" if check.status == "skipped" else ""
            )
            groups.setdefault((check.status, check.id), []).append(line)
    for (status, name), lines in sorted(groups.items()):
        yield {"status": status, "id": name, "title": title_of(name), "count": len(lines), "lines": lines}


def _pair(older: Explanation, newer: Explanation) -> dict[str, Any]:
    left, right = _texts(older), _texts(newer)
    return {
        "service": newer.service,
        "mode": newer.mode,
        "node": newer.node,
        "left": _side(older, other=right, tint="gone"),
        "right": _side(newer, other=left, tint="come"),
    }


def _texts(explanation: Explanation) -> set[tuple[str, str]]:
    return {(line.place, line.text) for _, lines in explanation.families for line in lines}


def _side(explanation: Explanation, *, other: set[tuple[str, str]], tint: str) -> dict[str, Any]:
    places: dict[str, list[dict[str, Any]]] = {}
    for _, lines in explanation.families:
        for line in lines:
            entry = {"text": line.text, "why": line.why, "own": (line.place, line.text) not in other}
            places.setdefault(line.place, []).append(entry)
    return {"version": str(explanation.version), "places": list(places.items()), "tint": tint}
