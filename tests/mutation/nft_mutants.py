"""Every single-object change to an `nft -j list table` dump, with what verify owes it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

from mutants import Duty, Mutant

Listing = list[dict[str, Any]]
Path = tuple[str | int, ...]
# What the kernel numbers by itself, and what nft prints or not as it likes.
QUIET = ("handle", "size", "gc-interval")


def mutants(dump: str) -> Iterator[Mutant]:
    """All of them, in the dump's order."""
    listing: Listing = json.loads(dump)["nftables"]
    family = next(item["table"]["family"] for item in listing if "table" in item)
    yield from _harmless(listing, family)
    for at, item in enumerate(listing):
        kind, body = next(iter(item.items()))
        if kind == "metainfo":
            continue
        name = body.get("name") or f"{body.get('chain')} {body.get('handle')}"
        label = f"{kind} {name}"
        if kind == "chain" and "/" in name and f'"target": "{name}"' not in dump:
            continue  # emptied by kube-proxy, to be deleted by a later sync
        yield _made(f"{kind} deleted", label, Duty.FOUND, [*listing[:at], *listing[at + 1 :]])
        if kind in ("rule", "chain", "set", "map"):
            yield _made(f"{kind} doubled", label, Duty.FOUND, [*listing[:at], item, *listing[at:]])
        yield from _altered(listing, at, kind, label)
        if kind in ("set", "map"):
            yield from _elements(listing, at, kind, label)
        if kind == "chain":
            rule = _own(family, chain=body["name"], expr=[{"accept": None}])
            yield _made("stray rule", label, Duty.FOUND, [*listing, {"rule": rule}])
    yield from _swapped(listing)


def _made(kind: str, target: str, duty: Duty, listing: Listing) -> Mutant:
    return Mutant(kind, target, duty, partial(json.dumps, {"nftables": listing}))


def _own(family: str, **body: Any) -> dict[str, Any]:
    return {"family": family, "table": "kube-proxy", "handle": 9999, **body}


def _harmless(listing: Listing, family: str) -> Iterator[Mutant]:
    """Looks that a healthy table may take at any time."""
    renumbered = [
        {
            kind: {**body, "handle": body["handle"] + 7} if "handle" in body else body
            for kind, body in i.items()
        }
        for i in listing
    ]
    yield _made("handles renumbered", "all", Duty.QUIET, renumbered)
    stale = _own(family, name="service-AAAAAAAA-ns/gone/tcp/p")
    yield _made("emptied stale chain", stale["name"], Duty.QUIET, [*listing, {"chain": stale}])
    other = {"table": {"family": family, "name": "other", "handle": 1}}
    yield _made("another table", "other", Duty.QUIET, [*listing, other])
    for at, item in enumerate(listing):
        kind, body = next(iter(item.items()))
        if kind not in ("set", "map"):
            continue
        elements = body.get("elem", [])
        if len(elements) > 1:
            turned = {kind: {**body, "elem": elements[::-1]}}
            yield _made(
                f"{kind} elements in another order", body["name"], Duty.QUIET, _with(listing, at, turned)
            )
        if "timeout" in body:
            client = {"elem": {"val": "10.244.7.7" if family == "ip" else "fd00::7", "expires": 60}}
            grown = {kind: {**body, "elem": [*elements, client]}}
            yield _made("client remembered", body["name"], Duty.QUIET, _with(listing, at, grown))


def _with(listing: Listing, at: int, item: dict[str, Any]) -> Listing:
    return [*listing[:at], item, *listing[at + 1 :]]


def _altered(listing: Listing, at: int, kind: str, label: str) -> Iterator[Mutant]:
    """Each value of the object changed."""
    for path in _leaves(listing[at][kind]):
        if path[0] in ("family", "table") or any(step in QUIET for step in path):
            continue
        body = _changed(listing[at][kind], path)
        duty = Duty.EITHER if path[-1] == "comment" else Duty.FOUND
        where = " ".join(str(step) for step in path if isinstance(step, str))
        yield _made(
            f"{kind}'s {path[0]} altered", f"{label}: {where}", duty, _with(listing, at, {kind: body})
        )


def _leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    elif value != []:
        yield path


def _changed(value: Any, path: Path) -> Any:
    if not path:
        return value + 1 if isinstance(value, int) else "x" if value is None else f"{value}x"
    copied = copy.copy(value)
    copied[path[0]] = _changed(value[path[0]], path[1:])
    return copied


def _elements(listing: Listing, at: int, kind: str, label: str) -> Iterator[Mutant]:
    body = listing[at][kind]
    elements = body.get("elem", [])
    if "timeout" in body:
        return
    for number, element in enumerate(elements):
        named = f"{label}: {json.dumps(element)}"
        for word, changed in (
            ("deleted", [*elements[:number], *elements[number + 1 :]]),
            ("doubled", [*elements[: number + 1], *elements[number:]]),
        ):
            item = {kind: {**body, "elem": changed}}
            yield _made(f"{kind} element {word}", named, Duty.FOUND, _with(listing, at, item))
    if kind == "map" and len(elements) > 1:
        for (left, right), number in zip(pairwise(elements), range(len(elements)), strict=False):
            if left[1] == right[1]:
                continue
            crossed = [*elements[:number], [left[0], right[1]], [right[0], left[1]], *elements[number + 2 :]]
            item = {kind: {**body, "elem": crossed}}
            yield _made("map values swapped", f"{label}: {number}", Duty.FOUND, _with(listing, at, item))


def _swapped(listing: Listing) -> Iterator[Mutant]:
    rules = [at for at, item in enumerate(listing) if "rule" in item]
    for first, second in pairwise(rules):
        one, other = listing[first]["rule"], listing[second]["rule"]
        if one["chain"] == other["chain"] and one["expr"] != other["expr"]:
            turned = list(listing)
            turned[first], turned[second] = listing[second], listing[first]
            yield _made("rules swapped", f"chain {one['chain']}", Duty.FOUND, turned)
