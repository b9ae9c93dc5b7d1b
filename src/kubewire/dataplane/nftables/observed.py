"""Reads `nft -j list table ip|ip6 kube-proxy` into the dataplane model; nothing is dropped, nothing guessed.

Source: libnftables-json(5); shapes seen with nft 1.0.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from kubewire.core.errors import LabError
from kubewire.core.serialization import decode, read_json
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import (
    Chain,
    Counter,
    Dataplane,
    Element,
    Hook,
    Problem,
    Rule,
    RuleGroup,
    Set,
    Table,
)
from kubewire.dataplane.core.snapshot import NFT_FOREIGN
from kubewire.dataplane.nftables.expression import NotUnderstood, verdict_text
from kubewire.dataplane.nftables.names import TABLE, WORDS
from kubewire.dataplane.nftables.text import duration_text, element_text, rule_text

_RULE_KEYS = {"family", "table", "chain", "handle", "expr", "comment", "index"}
_CHAIN_KEYS = {"family", "table", "name", "handle", "type", "hook", "prio", "policy", "comment"}
_UNUSUAL = {"policy", "auto-merge", "stmt"}
_ELEMENT_KEYS = {"val", "comment"}
_STATE_KEYS = {"timeout", "expires", "counter"}
"""What the kernel keeps of a member of another owner's set."""
_SET_KEYS = {
    *("family", "table", "name", "handle", "type", "comment", "elem", "map", "flags", "timeout"),
    *("size", "gc-interval"),  # set by nft and the kernel, not always shown
    *_UNUSUAL,
}


class ParseError(LabError):
    """A dump that isn't a complete listing of kube-proxy's table; `position` is the offset in its text."""

    def __init__(self, what: str, position: int, *, where: str) -> None:
        super().__init__(what, where=where, hint="take the snapshot again; look at what nft said")
        self.position = position


def parse_nft_json(text: str, family: IpFamily) -> Dataplane:
    """The table kube-proxy of one family, its chains, rules, sets and maps, in the dump's order.

    What isn't understood becomes a Problem, a rule also a Rule with `understood` False that holds its JSON.
    Raises ParseError for text that is empty, cut off, not nft's JSON, or without that table.
    """
    ip = WORDS[family].ip
    where = f"nft-{ip}.json"
    reader = _Reader(family)
    for item in listed(text, where):
        reader.read(item, ip)
    if not reader.tables:
        raise ParseError(f"the dump has no table {ip} {TABLE}", len(text), where=where)
    return reader.dataplane()


def parse_foreign_tables(text: str, family: IpFamily, where: str = NFT_FOREIGN) -> Dataplane:
    """The tables of other owners that see packets of the family, named with their own: `inet firewalld`.

    Those of the families netdev, bridge and arp, and what isn't understood, are Problems. Raises ParseError.
    """
    reader = _Reader(family)
    for item in listed(text, where):
        reader.read_foreign(item, (WORDS[family].ip, "inet"))
    reader.miss_chains()
    return reader.dataplane()


def listed(text: str, where: str) -> list[str]:
    """The JSON of each object of a listing, in its order. Raises ParseError with the place `where`."""
    try:
        return [bytes(item).decode() for item in decode(text, _Listing).nftables]
    except (ValueError, RecursionError) as refused:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            position = error.pos if isinstance(error, json.JSONDecodeError) else 0
            what = "the dump is empty" if not text.strip() else f"the dump is cut off or no JSON: {error}"
            raise ParseError(what, position, where=f"{where}:{position}") from error
        objects = document.get("nftables") if isinstance(document, Mapping) else None
        if not isinstance(objects, list):
            raise ParseError("the dump is not a listing by nft -j", 0, where=where) from refused
        return list(map(json.dumps, objects))


_JUMP = re.compile(r"\b(?:jump|goto) ([^\s,}]+)")
_QUOTED = re.compile(r'"[^"]*"')
_FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")


class _Listing(Struct):
    nftables: list[Raw]


class _Reader:
    """Collects the objects of a listing; rules come after their chains and keep their order."""

    def __init__(self, family: IpFamily) -> None:
        self.family = family
        self.tables: list[Table] = []
        self.chains: list[tuple[Mapping[str, Any], list[Rule]]] = []
        self.rules: dict[tuple[str, str], list[Rule]] = {}
        self.sets: list[Set] = []
        self.counters: list[Counter] = []
        self.problems: list[Problem] = []
        self.names: set[tuple[str, str]] = set()

    def read(self, text: str, ip: str) -> None:
        """Add one object of the list; objects of other tables are ignored."""
        item = read_json(text)
        kind, body = next(iter(item.items())) if isinstance(item, dict) and item else ("", item)
        if kind == "metainfo":
            return
        if not isinstance(body, dict):
            self._problem(TABLE, item, "it is no nft object")
            return
        owner = body.get("name") if kind == "table" else body.get("table")
        if body.get("family") != ip or owner != TABLE:
            return
        try:
            if kind != "rule":
                self._claim("set" if kind == "map" else kind, str(body["name"]))
            self._read_own(kind, body)
        except (NotUnderstood, KeyError, TypeError, ValueError) as error:
            self._problem(f"{kind} {body.get('name') or body.get('chain') or ''}", item, str(error))

    def read_foreign(self, text: str, families: tuple[str, ...]) -> None:
        """Add one object of another owner's table."""
        item = read_json(text)
        kind, body = next(iter(item.items())) if isinstance(item, dict) and item else ("", item)
        if kind == "metainfo" or not isinstance(body, dict):
            return
        table = f"{body.get('family')} {body.get('name') if kind == 'table' else body.get('table')}"
        if kind == "table" and "unread" in body:
            self._problem(table, table, str(body["unread"]))
        if body.get("family") not in families:
            if kind == "chain" and "hook" in body and body.get("family") in ("netdev", "bridge"):
                self._problem(f"table {table}", table, _not_followed(body))
            elif kind == "table" and body.get("family") not in _FAMILIES:
                self._problem(f"table {table}", table, "no such family is known")
            return
        try:
            self._read_own(kind, {**body, "table": table}, table)
        except (NotUnderstood, KeyError, TypeError, ValueError) as error:
            self._problem(f"table {table}", item, str(error))

    def miss_chains(self) -> None:
        """A Problem for each chain that rules lead to and that isn't there: half a table was listed."""
        known = {(str(body.get("table")), str(body["name"])) for body, _ in self.chains}
        wanted = {
            (table, name)
            for (table, _), rules in self.rules.items()
            for rule in rules
            for name in _JUMP.findall(_QUOTED.sub("", rule.text))
        }
        for table, name in sorted(wanted - known):
            self._problem(f"table {table}", name, f"rules lead to chain {name}, which the dump doesn't have")

    def _claim(self, kind: str, name: str) -> None:
        if (kind, name) in self.names:
            raise NotUnderstood("it is listed twice")
        self.names.add((kind, name))

    def dataplane(self) -> Dataplane:
        known = {(str(body.get("table", TABLE)), str(body["name"])) for body, _ in self.chains}
        for _, name in self.rules.keys() - known:
            self._problem(f"rules of {name}", name, "rules of a chain that the dump doesn't have")
        return Dataplane(
            tables=tuple(self.tables),
            chains=tuple(_chain(body, tuple(rules), self.family) for body, rules in self.chains),
            sets=tuple(self.sets),
            problems=tuple(self.problems),
            counters=tuple(self.counters),
        )

    def _read_own(self, kind: str, body: Mapping[str, Any], table: str = TABLE) -> None:
        match kind:
            case "table":
                self.tables.append(Table(self.family, table, body.get("comment", "")))
            case "chain":
                _only(body, _CHAIN_KEYS)
                if "hook" in body and not isinstance(body.get("prio"), int):
                    raise NotUnderstood("a base chain without a numeric priority")
                if body.get("hook") in ("ingress", "egress"):
                    self._problem(f"table {table}", body["name"], _not_followed(body))
                self.chains.append((body, self.rules.setdefault((table, body["name"]), [])))
            case "rule":
                self.rules.setdefault((table, body["chain"]), []).append(self._rule(body))
            case "set" | "map":
                self.sets.append(_set(body, self.family, table))
            case "counter":
                _only(body, {"family", "name", "table", "handle", "packets", "bytes"})
                self.counters.append(Counter(self.family, table, body["name"]))
            case _:
                raise NotUnderstood(f"kube-proxy writes no {kind or 'such object'}")

    def _rule(self, body: Mapping[str, Any]) -> Rule:
        try:
            return _rule(body)
        except (NotUnderstood, KeyError, TypeError, ValueError) as error:
            raw = json.dumps(body.get("expr", body))
            self._problem(f"rule of chain {body['chain']}", body.get("expr", body), str(error))
            return Rule(raw, understood=False)

    def _problem(self, where: str, item: Any, why: str) -> None:
        self.problems.append(Problem(where.strip(), json.dumps(item), why))


def _not_followed(body: Mapping[str, Any]) -> str:
    return f"chain {body.get('name')} (hook {body['hook']}, priority {body.get('prio')}) is not evaluated"


def _rule(body: Mapping[str, Any]) -> Rule:
    _only(body, _RULE_KEYS)
    bare = rule_text(body["expr"])
    comment = body.get("comment", "")
    return Rule(f'{bare} comment "{comment}"' if comment else bare)


def _only(body: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(body) - known:
        raise NotUnderstood(f"unknown attributes: {', '.join(sorted(unknown))}")


def _chain(body: Mapping[str, Any], rules: tuple[Rule, ...], family: IpFamily) -> Chain:
    hook = None
    if "hook" in body:
        hook = Hook(body["hook"], body.get("type", ""), body.get("prio"), body.get("policy", ""))
    return Chain(
        family,
        body.get("table", TABLE),
        body["name"],
        hook=hook,
        groups=(RuleGroup(rules),),
        comment=body.get("comment", ""),
    )


def _set(body: Mapping[str, Any], family: IpFamily, table: str) -> Set:
    _only(body, _SET_KEYS)
    kind = body["type"]
    shown = body.get("flags", ())
    flags = {shown} if isinstance(shown, str) else set(shown)
    value_type = body.get("map", "")
    options = [f"flags {','.join(sorted(flags - {'dynamic'}))}"] if flags - {"dynamic"} else []
    if "timeout" in body:
        options.append(f"timeout {duration_text(body['timeout'])}")
    options += [f"{key} {json.dumps(body[key])}" for key in sorted(_UNUSUAL & set(body))]
    known = _ELEMENT_KEYS if table == TABLE else _ELEMENT_KEYS | _STATE_KEYS
    return Set(
        family,
        table,
        body["name"],
        kind if isinstance(kind, str) else " . ".join(kind),
        value_type=value_type if isinstance(value_type, str) else " . ".join(value_type),
        elements=tuple(_element(item, known, is_map="map" in body) for item in body.get("elem", ())),
        options=tuple(options),
        dynamic=bool(flags & {"dynamic", "timeout"}),
        comment=body.get("comment", ""),
    )


def _element(item: Any, known: set[str], *, is_map: bool) -> Element:
    key, value = item if is_map else (item, None)
    comment = ""
    if isinstance(key, dict) and "elem" in key and known >= set(key["elem"]):
        key, comment = key["elem"]["val"], key["elem"].get("comment", "")
    text = verdict_text(value) if is_map else ""
    return Element(element_text(key), text, comment)
