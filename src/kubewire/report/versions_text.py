"""Known and available versions as text and as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from kubewire.binaries.offers import MODULES, Offer
from kubewire.binaries.overview import Line
from kubewire.core.printable import printable

HEADS = ("VERSION", "KNOWN", "IN THE CACHE", "OFFERED", "NEWS")


def to_json(lines: Sequence[Line], kind: Line, kubernetes_offer: Offer, kind_offer: Offer) -> str:
    """{"schema": 1, "kubernetes": {"source", "unreachable", "versions": […]}, "kind": {…}}"""
    document = {
        "schema": 1,
        "kubernetes": _part(lines, kubernetes_offer),
        "kind": _part([kind], kind_offer),
    }
    return json.dumps(document, indent=1) + "\n"


def _part(lines: Sequence[Line], offer: Offer) -> dict[str, Any]:
    return {
        "source": offer.source,
        "unreachable": offer.why,
        "versions": [asdict(line) for line in lines],
    }


def to_text(lines: Sequence[Line], kind: Line, kubernetes_offer: Offer, kind_offer: Offer) -> str:
    """A table, and below it who was asked."""
    rows = [HEADS, *(_row(line) for line in (*lines, kind))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    table = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return printable("\n".join([*table, "", *_sources(kubernetes_offer, kind_offer)])) + "\n"


def _row(line: Line) -> tuple[str, ...]:
    news = ": ".join(part for part in (line.news, line.note) if part)
    return (line.minor, line.known or "-", ", ".join(line.cached) or "-", line.offered or "-", news)


def _sources(kubernetes: Offer, kind: Offer) -> Iterator[str]:
    for name, offer in (("Kubernetes", kubernetes), ("kind", kind)):
        asked = f"offered by the {offer.source}" if offer.source else "nothing could be asked"
        yield f"{name}: {asked}" + (f" ({offer.why})" if offer.why else "")
    if MODULES in (kubernetes.source, kind.source):
        yield "Of versions whose Go modules are not all served, the newest complete one is built."
