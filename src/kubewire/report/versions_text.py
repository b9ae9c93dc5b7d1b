"""Known and available versions as text and as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kubewire.binaries.catalog import KUBE_PROXY_ONLY, MINORS
from kubewire.binaries.offers import MODULES, Offer, newest_of_each_minor
from kubewire.binaries.versions import KNOWN, minor_of, sort_key
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
    """A table, and below it the sources."""
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


News = Literal["", "new patch", "new minor"]


@dataclass(frozen=True)
class Line:
    """One minor: the patch that kubewire knows, those in the cache, the newest that is offered."""

    minor: str
    known: str = ""
    cached: tuple[str, ...] = ()
    offered: str = ""
    news: News = ""
    note: str = ""


def kubernetes_lines(cached: Iterable[str], offer: Offer) -> list[Line]:
    """The minors that kubewire can run, newest first."""
    there = [version for version in cached if minor_of(version) >= MINORS[0]]
    offered = {minor: v for minor, v in offer.newest.items() if minor >= MINORS[0]}
    minors = sorted({*MINORS, *offered, *newest_of_each_minor(there)}, reverse=True)
    return [_line(minor, KNOWN.get(minor, ""), there, offered.get(minor, "")) for minor in minors]


def newer_minors(cached: Iterable[str], offer: Offer) -> list[int]:
    """The minors beyond all known ones that are offered or in the cache, oldest first."""
    return sorted({m for m in (*offer.newest, *newest_of_each_minor(cached)) if m > MINORS[-1]})


def kind_line(known: str, cached: Iterable[str], offer: Offer) -> Line:
    """kind: only its newest release counts."""
    newest = max(offer.newest.values(), key=sort_key, default="")
    news: News = ""
    if newest and sort_key(newest) > sort_key(known):
        news = "new patch" if minor_of(newest) == minor_of(known) else "new minor"
    return Line("kind", known, _newest_first(cached), newest, news)


def _line(minor: int, known: str, cached: Iterable[str], offered: str) -> Line:
    there = _newest_first(version for version in cached if minor_of(version) == minor)
    had = [sort_key(version) for version in (known, *there) if version]
    news: News = ""
    if not known:
        news = "new minor"
    elif offered and sort_key(offered) > max(had):
        news = "new patch"
    return Line(f"1.{minor}", known, there, offered, news, "; ".join(_notes(minor)))


def _notes(minor: int) -> Iterator[str]:
    if minor > MINORS[-1]:
        yield f"checked by the rules of 1.{MINORS[-1]}, the newest that kubewire knows"
    if minor in KUBE_PROXY_ONLY:
        yield "from Go modules only kube-proxy"


def _newest_first(versions: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=sort_key, reverse=True))
