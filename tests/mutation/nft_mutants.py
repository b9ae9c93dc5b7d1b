"""Every single-object change to an `nft -j list table` dump, with what verify owes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

from json_values import Path, altered, leaves, without_statement
from mutants import Duty, Mutant
from nft_elements import element_mutants

Listing = list[dict[str, Any]]
# What the kernel numbers by itself, and what nft prints or not as it likes.
QUIET = ("handle", "size", "gc-interval")
GONE = "service-AAAAAAAA-ns/gone/tcp/p"


def mutants(dump: str) -> Iterator[Mutant]:
    """All of them, in the dump's order."""
    listing: Listing = json.loads(dump)["nftables"]
    family = next(item["table"]["family"] for item in listing if "table" in item)
    stale = {body["name"] for item in listing for body in item.values() if _is_stale(item, dump)}
    yield from _harmless(listing, family)
    for at, item in enumerate(listing):
        kind, body = next(iter(item.items()))
        if kind == "metainfo" or body.get("name") in stale or body.get("chain") in stale:
            continue
        name = body.get("name") or f"{body.get('chain')} {body.get('handle')}"
        label = f"{kind} {name}"
        yield _made(f"{kind} deleted", label, Duty.FOUND, [*listing[:at], *listing[at + 1 :]])
        if kind in ("rule", "chain", "set", "map"):
            yield _made(f"{kind} doubled", label, Duty.FOUND, [*listing[:at], item, *listing[at:]])
        yield from _altered(listing, at, kind, label)
        if kind in ("set", "map"):
            for word, target, changed in element_mutants(kind, body):
                yield _made(word, f"{label}: {target}", Duty.FOUND, _with(listing, at, {kind: changed}))
        if kind == "chain":
            yield from _strays(listing, at, family, body["name"])
    yield from _swapped(listing)


def _is_stale(item: dict[str, Any], dump: str) -> bool:
    """Emptied by kube-proxy, to be deleted by a later sync."""
    name = item.get("chain", {}).get("name", "")
    return "/" in name and f'"target": "{name}"' not in dump


def _made(kind: str, target: str, duty: Duty, listing: Listing, why: str = "") -> Mutant:
    return Mutant(kind, target, duty, partial(json.dumps, {"nftables": listing}), why)


def _own(family: str, **body: Any) -> dict[str, Any]:
    return {"family": family, "table": "kube-proxy", "handle": 9999, **body}


def _with(listing: Listing, at: int, item: dict[str, Any]) -> Listing:
    return [*listing[:at], item, *listing[at + 1 :]]


def _harmless(listing: Listing, family: str) -> Iterator[Mutant]:
    """Looks that a healthy table may take at any time."""
    renumbered = [
        {
            kind: {**body, "handle": body["handle"] + 7} if "handle" in body else body
            for kind, body in i.items()
        }
        for i in listing
    ]
    yield _made("handles renumbered", "all", Duty.QUIET, renumbered, "handles")
    chain = {"chain": _own(family, name=GONE)}
    rule = {"rule": _own(family, chain=GONE, expr=[{"drop": None}])}
    named = {"set": _own(family, name="stray", type="inet_service", elem=[9])}
    yield _made("emptied stale chain", GONE, Duty.QUIET, [*listing, chain], "unreachable")
    yield _made("stray chain, unreachable", GONE, Duty.QUIET, [*listing, chain, rule], "unreachable")
    yield _made("stray set that no rule uses", "stray", Duty.QUIET, [*listing, named], "unreachable")
    other = {"table": {"family": family, "name": "other", "handle": 1}}
    yield _made("another table", "other", Duty.QUIET, [*listing, other], "foreign table")
    base = {"type": "filter", "hook": "forward", "prio": 1, "policy": "drop"}
    stray = {"chain": _own(family, name="stray", **base)}
    yield _made("stray base chain", "stray", Duty.FOUND, [*listing, stray])
    for at, item in enumerate(listing):
        kind, body = next(iter(item.items()))
        if kind not in ("set", "map"):
            continue
        elements = body.get("elem", [])
        if len(elements) > 1:
            turned = {kind: {**body, "elem": elements[::-1]}}
            word = f"{kind} elements in another order"
            yield _made(word, body["name"], Duty.QUIET, _with(listing, at, turned), "element order")
        if "timeout" in body:
            client = {"elem": {"val": "10.244.7.7" if family == "ip" else "fd00::7", "expires": 60}}
            grown = _with(listing, at, {kind: {**body, "elem": [*elements, client]}})
            yield _made("client remembered", body["name"], Duty.QUIET, grown, "affinity entry")


def _altered(listing: Listing, at: int, kind: str, label: str) -> Iterator[Mutant]:
    """Each value of the object changed to another of its kind, and each statement of a rule left out."""
    body = listing[at][kind]
    others = sorted({name for item in listing if (name := item.get("chain", {}).get("name"))})
    for path in leaves(body):
        if path[0] in ("family", "table") or any(step in QUIET for step in path):
            continue
        changed = _with(listing, at, {kind: altered(body, path, others)})
        comment = path[-1] == "comment"
        duty, why = (Duty.EITHER, "comment") if comment else (Duty.FOUND, "")
        where = " ".join(str(step) for step in path if isinstance(step, str))
        yield _made(f"{kind}'s {_what(path)} altered", f"{label}: {where}", duty, changed, why)
    for number, changed_body in without_statement(body):
        less = _with(listing, at, {kind: changed_body})
        yield _made("rule's statement dropped", f"{label}: statement {number}", Duty.FOUND, less)


def _what(path: Path) -> str:
    """The kind of value that a path leads to."""
    words = [str(step) for step in path if isinstance(step, str)]
    return words[0] if words[0] != "expr" else f"{words[1]} {words[-1]}" if len(words) > 2 else words[-1]


def _strays(listing: Listing, at: int, family: str, chain: str) -> Iterator[Mutant]:
    """A rule that nothing asks for, at either end of a chain."""
    rule = {"rule": _own(family, chain=chain, expr=[{"drop": None}])}
    yield _made("stray rule at the end", chain, Duty.FOUND, [*listing, rule])
    yield _made("stray rule at the head", chain, Duty.FOUND, [*listing[: at + 1], rule, *listing[at + 1 :]])


def _swapped(listing: Listing) -> Iterator[Mutant]:
    rules = [at for at, item in enumerate(listing) if "rule" in item]
    for first, second in pairwise(rules):
        one, other = listing[first]["rule"], listing[second]["rule"]
        if one["chain"] == other["chain"] and one["expr"] != other["expr"]:
            turned = list(listing)
            turned[first], turned[second] = listing[second], listing[first]
            yield _made("rules swapped", f"chain {one['chain']}", Duty.FOUND, turned)
