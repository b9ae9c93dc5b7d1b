"""nft's JSON expressions as text; strict: what isn't known is never guessed.

Source: libnftables-json(5), `nft list` of 1.0.6 for the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kubewire.dataplane.nftables.words import JUMPS, VERDICTS

Json = Any
INTERFACES = ("iif", "oif", "iifname", "oifname")
BINARY = ("&", "|", "^", "<<", ">>")


class NotUnderstood(ValueError):  # noqa: N818
    """A piece of nft JSON that this printer doesn't know."""


def fields(body: Json, *names: str, optional: Sequence[str] = ()) -> list[Json]:
    """The values of exactly these fields (None for an absent optional one); others are not understood."""
    if not isinstance(body, dict):
        raise NotUnderstood(f"{body!r} has not the fields {', '.join(names)}")
    found = [body[name] for name in names if name in body]
    others = [body.get(name) for name in optional]
    known = len(found) + sum(name in body for name in optional)
    if len(found) != len(names) or known != len(body):
        raise NotUnderstood(f"{body!r} has not the fields {', '.join(names)}")
    return found + others


def single(item: Json) -> tuple[str, Json]:
    """The name and body of an object with one member."""
    if not isinstance(item, dict) or len(item) != 1:
        raise NotUnderstood(f"{item!r} is not one expression")
    name, body = next(iter(item.items()))
    return str(name), body


def is_mark(item: Json) -> bool:
    """Whether numbers beside that expression are marks, which nft prints in hexadecimal."""
    kind, body = single(item)
    if kind in BINARY:
        return isinstance(body, list) and is_mark(body[0])
    return kind in ("meta", "ct") and isinstance(body, dict) and body.get("key") == "mark"


def verdict_text(value: Json) -> str:
    """A map element's value: `goto CHAIN`, `drop`, or a datum."""
    if isinstance(value, dict) and len(value) == 1:
        name, body = next(iter(value.items()))
        if name in JUMPS:
            return f"{name} {fields(body, 'target')[0]}"
        if name in VERDICTS and body is None:
            return str(name)
    return expression(value)


def expression(item: Json) -> str:
    """One expression as nft prints it. Raises NotUnderstood."""
    if type(item) is str:
        return item
    if type(item) is int:
        return str(item)
    name, body = single(item)
    if name in BINARY:
        left, right = body if isinstance(body, list) and len(body) == 2 else (None, None)
        mark = isinstance(right, int) and isinstance(left, dict) and is_mark(left)
        return f"{expression(left)} {name} {f'0x{right:08x}' if mark else expression(right)}"
    printer = _EXPRESSIONS.get(name)
    if printer is None:
        raise NotUnderstood(f"expression {name!r} is not known")
    return printer(body)


def _payload(body: Json) -> str:
    return " ".join(fields(body, "protocol", "field"))


def _meta(body: Json) -> str:
    (key,) = fields(body, "key")
    return str(key) if key in INTERFACES else f"meta {key}"


def _ct(body: Json) -> str:
    key, family, direction = fields(body, "key", optional=("family", "dir"))
    return " ".join(["ct", *(word for word in (direction, family) if word), key])


def _fib(body: Json) -> str:
    result, flags = fields(body, "result", "flags")
    return f"fib {' . '.join([flags] if isinstance(flags, str) else flags)} {result}"


def _numgen(body: Json) -> str:
    mode, mod, offset = fields(body, "mode", "mod", optional=("offset",))
    return f"numgen {mode} mod {mod}{f' offset {offset}' if offset else ''}"


def _concat(body: Json) -> str:
    return " . ".join(map(expression, body))


def _prefix(body: Json) -> str:
    address, length = fields(body, "addr", "len")
    return f"{expression(address)}/{length}"


def _range(body: Json) -> str:
    first, last = body if isinstance(body, list) and len(body) == 2 else (None, None)
    return f"{expression(first)}-{expression(last)}"


def _set(body: Json) -> str:
    items = body if isinstance(body, list) else [body]
    return f"{{ {', '.join(map(_member, items))} }}"


def _member(item: Json) -> str:
    if isinstance(item, list) and len(item) == 2:
        return f"{expression(item[0])} : {verdict_text(item[1])}"
    return expression(item)


def _map(body: Json) -> str:
    key, data = fields(body, "key", "data")
    return f"{expression(key)} map {expression(data)}"


_EXPRESSIONS: dict[str, Callable[[Json], str]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "fib": _fib,
    "numgen": _numgen,
    "concat": _concat,
    "prefix": _prefix,
    "range": _range,
    "set": _set,
    "map": _map,
}
