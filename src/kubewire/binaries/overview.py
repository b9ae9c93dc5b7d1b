"""Known, cached and offered versions side by side, and what of them is new. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from kubewire.binaries.catalog import KUBE_PROXY_ONLY, MINORS
from kubewire.binaries.offers import Offer, newest_of_each_minor
from kubewire.binaries.versions import KNOWN, minor_of, sort_key

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
        yield f"judged by the rules of 1.{MINORS[-1]}, the newest that kubewire knows"
    if minor in KUBE_PROXY_ONLY:
        yield "from Go modules only kube-proxy"


def _newest_first(versions: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=sort_key, reverse=True))
