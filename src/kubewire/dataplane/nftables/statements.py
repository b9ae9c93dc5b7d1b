"""One nft rule as a trace sees it: its text read into statements, which run from left to right.

Strict: a statement that isn't understood raises NotModelled if it is reached.
Source: nft(8); the statements that pkg/proxy/nftables/proxier.go writes.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from ipaddress import ip_address

from kubewire.dataplane.core.packet import SURE, Action, Address, NotModelled, Packet, Result, as_number
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.core.translate import (
    address_and_port,
    destination_nat,
    masquerade,
    redirect,
    source_nat,
)
from kubewire.dataplane.nftables.conditions import Sets, Statement, choice, condition, verdict
from kubewire.dataplane.nftables.words import JUMPS, VERDICTS, Reader

_NAT_FLAGS = ("random", "fully-random", "persistent", ",")


def results(text: str, packet: Packet, routing: Routing, sets: Sets) -> list[Result]:
    """What the rule does. Raises NotModelled."""
    running = [Result(SURE, packet, Action.NEXT)]
    done: list[Result] = []
    for statement in parse_rule(text):
        following: list[Result] = []
        for before in running:
            for after in statement(before.packet, routing, sets):
                said = ", ".join(filter(None, (before.said, after.said)))
                joined = replace(after, chance=before.chance * after.chance, said=said)
                (following if after.action is Action.NEXT else done).append(joined)
        running = following
    return [*done, *running]


@lru_cache(maxsize=16384)
def parse_rule(text: str) -> tuple[Statement, ...]:
    """A rule's statements."""
    reader = Reader(text)
    statements: list[Statement] = []
    while reader.peek():
        start = reader.at
        try:
            if reader.peek() in _ASIDES:
                _skip_aside(reader)
            else:
                statements.append(_statement(reader))
        except ValueError:
            return (*statements, _refusal(reader.text_from(start)))
    return tuple(statements)


def _statement(reader: Reader) -> Statement:
    word = reader.peek()
    if word in (*VERDICTS, *JUMPS):
        to = verdict(reader.verdict())
        return lambda packet, _, __: [Result(SURE, packet, *to)]
    if reader.accept("reject"):
        while reader.peek() not in ("", "comment"):
            reader.take()
        return lambda packet, _, __: [Result(SURE, packet, Action.REJECT)]
    if reader.accept("masquerade"):
        _flags(reader)
        return lambda packet, routing, _: [masquerade(packet, routing)]
    if word in ("dnat", "snat", "redirect"):
        return _nat(reader)
    if reader.accept("meta", "mark", "set"):
        return _set_mark(reader)
    return condition(reader)


def _skip_aside(reader: Reader) -> None:
    """Statements without effect on the packet: comments, counters, logging, remembering a client."""
    word = reader.take()
    if word == "comment":
        reader.take()
    elif word == "counter" and reader.accept("packets"):
        reader.take()
        reader.need("bytes")
        reader.take()
    elif (word == "counter" and reader.accept("name")) or (word == "log" and reader.accept("prefix")):
        reader.take()
    elif word in ("update", "add"):
        if not reader.take().startswith("@"):
            raise ValueError(word)
        reader.need("{")
        while reader.take() != "}":
            pass


_ASIDES = ("comment", "counter", "log", "update", "add")


def _flags(reader: Reader) -> None:
    while reader.peek() in _NAT_FLAGS:
        reader.take()
    if reader.peek() not in ("", "comment"):
        raise ValueError(reader.peek())


def _nat(reader: Reader) -> Statement:
    if reader.accept("redirect"):
        to = int(reader.take().removeprefix(":")) if reader.accept("to") else None
        _flags(reader)
        return lambda packet, routing, _: [redirect(packet, routing, to)]
    source = reader.take() == "snat"
    if reader.peek() in ("ip", "ip6"):
        reader.take()
    reader.need("to")
    if not source and reader.peek() == "numgen":
        entries = choice(reader, "map")
        _flags(reader)
        targets = [(text, _concatenated(value)) for text, value in entries if value]
        share = Fraction(1, len(entries))

        def spread(packet: Packet, _: Routing, __: Sets) -> list[Result]:
            found = [(text, destination_nat(packet, *target)) for text, target in targets]
            hits = [replace(r, chance=share, said=f"{text}: {r.said}") for text, r in found]
            rest = SURE - share * len(hits)
            return [*hits, Result(rest, packet, Action.MISS)] if rest else hits

        return spread
    address, port = address_and_port(reader.take())
    _flags(reader)
    if source:
        return lambda packet, _, __: [source_nat(packet, address)]
    return lambda packet, _, __: [destination_nat(packet, address, port)]


def _concatenated(text: str) -> tuple[Address, int | None]:
    """`10.0.0.1 . 80`, or an address alone."""
    address, dot, port = text.partition(" . ")
    return ip_address(address), int(port) if dot else None


def _set_mark(reader: Reader) -> Statement:
    sign = ""
    if reader.accept("meta", "mark"):
        sign = reader.take()
    number = as_number(reader.take())
    change = {"": lambda _: number, "|": number.__or__, "^": number.__xor__, "&": number.__and__}[sign]

    def statement(packet: Packet, _: Routing, __: Sets) -> list[Result]:
        mark = change(packet.mark)
        return [Result(SURE, replace(packet, mark=mark), Action.NEXT, said=f"mark {mark:#x}")]

    return statement


def _refusal(text: str) -> Statement:
    def statement(_: Packet, __: Routing, ___: Sets) -> list[Result]:
        raise NotModelled(f"{text!r} is not modelled")

    return statement
