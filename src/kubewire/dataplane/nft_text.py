"""nft's JSON expressions as the text that nft prints; strict: what isn't known is never guessed.

Source: nftables' src/json.c and libnftables-json(5) for the JSON, `nft list` of 1.0.6 for the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Json = Any
_CHAIN_REFERENCE = re.compile(r"\b(?:goto|jump) ([^\s,}]+)")
_SET_REFERENCE = re.compile(r"@([^\s,}]+)")
_VERDICTS = ("accept", "drop", "return", "continue")
_INTERFACE_NAMES = ("iif", "oif", "iifname", "oifname")
_BINARY = ("&", "|", "^", "<<", ">>")
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_REJECTS = ({"type": "icmp", "expr": "port-unreachable"}, {"type": "icmpv6", "expr": "port-unreachable"})


class NotUnderstood(ValueError):  # noqa: N818
    """A piece of nft JSON that this printer doesn't know."""


def rule_text(expressions: Sequence[Json], comment: str = "") -> str:
    """One rule as `nft list` prints it, its comment last. Raises NotUnderstood."""
    words = [_statement(expression) for expression in expressions]
    return " ".join([*words, f'comment "{comment}"'] if comment else words)


def chains_in(text: str) -> tuple[str, ...]:
    """The chains that a rule's or verdict's text (without its comment) jumps or goes to."""
    return tuple(dict.fromkeys(_CHAIN_REFERENCE.findall(text)))


def sets_in(text: str) -> tuple[str, ...]:
    """The named sets and maps that a rule's text (without its comment) looks up or updates."""
    return tuple(dict.fromkeys(_SET_REFERENCE.findall(text)))


def element_text(key: Json) -> str:
    """A set element's key with what hangs on it: `10.96.0.1 . tcp . 443 comment "…"`."""
    if not isinstance(key, Mapping) or "elem" not in key:
        return _expression(key)
    value, timeout, expires, comment = _fields(key["elem"], "val", optional=("timeout", "expires", "comment"))
    text = _expression(value)
    text += "" if timeout is None else f" timeout {duration_text(timeout)}"
    text += "" if expires is None else f" expires {duration_text(expires)}"
    return text if comment is None else f'{text} comment "{comment}"'


def verdict_text(value: Json) -> str:
    """A map element's value: `goto CHAIN`, `drop`, or a datum."""
    if isinstance(value, Mapping) and len(value) == 1:
        name, body = next(iter(value.items()))
        if name in ("jump", "goto"):
            return f"{name} {_fields(body, 'target')[0]}"
        if name in _VERDICTS and body is None:
            return str(name)
    return _expression(value)


def duration_text(seconds: int) -> str:
    """Seconds as nft prints a timeout: `3h`, `1m30s`."""
    text, rest = "", seconds
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def priority_text(hook: str, priority: int) -> str:
    """A base chain's priority by its nearest standard name: `dstnat - 10`, `filter`, or `-110`."""
    names = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
    names |= {"dstnat": -100} if hook == "prerouting" else {}
    names |= {"srcnat": 100} if hook == "postrouting" else {}
    for name, base in names.items():
        offset = priority - base
        if abs(offset) <= 10:
            return name if not offset else f"{name} {'+' if offset > 0 else '-'} {abs(offset)}"
    return str(priority)


def _fields(body: Json, *names: str, optional: Sequence[str] = ()) -> list[Json]:
    """The values of exactly these fields (None for an absent optional one); others are not understood."""
    if not isinstance(body, Mapping) or not set(names) <= set(body) <= {*names, *optional}:
        raise NotUnderstood(f"{body!r} has not the fields {', '.join(names)}")
    return [body.get(name) for name in (*names, *optional)]


def _single(item: Json) -> tuple[str, Json]:
    if not isinstance(item, Mapping) or len(item) != 1:
        raise NotUnderstood(f"{item!r} is not one expression")
    name, body = next(iter(item.items()))
    return str(name), body


def _statement(item: Json) -> str:
    name, body = _single(item)
    if (name in _VERDICTS and body is None) or name in ("jump", "goto"):
        return verdict_text(item)
    printer = _STATEMENTS.get(name)
    if printer is None:
        raise NotUnderstood(f"statement {name!r} is not known")
    return printer(body)


def _match(body: Json) -> str:
    operator, left, right = _fields(body, "op", "left", "right")
    kind, detail = _single(left)
    key = detail.get("key") if isinstance(detail, Mapping) else None
    if kind == "meta" and key in _INTERFACE_NAMES and isinstance(right, str) and not right.startswith("@"):
        value = f'"{right}"'
    elif isinstance(right, int) and not isinstance(right, bool) and _is_mark(left):
        value = f"0x{right:08x}"
    elif kind == "ct" and isinstance(right, list):
        value = ",".join(map(_expression, right))
    else:
        value = _expression(right)
    bits = kind in _BINARY or (kind == "ct" and key in ("state", "status") and not isinstance(right, dict))
    silent = operator == "in" or (operator == "==" and not bits)
    if operator not in ("in", "==", "!=", "<", ">", "<=", ">="):
        raise NotUnderstood(f"operator {operator!r} is not known")
    return f"{_expression(left)} {value}" if silent else f"{_expression(left)} {operator} {value}"


def _is_mark(item: Json) -> bool:
    kind, body = _single(item)
    if kind in _BINARY:
        return isinstance(body, list) and _is_mark(body[0])
    return kind in ("meta", "ct") and isinstance(body, Mapping) and body.get("key") == "mark"


def _mangle(body: Json) -> str:
    key, value = _fields(body, "key", "value")
    mark = isinstance(value, int) and _is_mark(key)
    return f"{_expression(key)} set {f'0x{value:08x}' if mark else _expression(value)}"


def _vmap(body: Json) -> str:
    key, data = _fields(body, "key", "data")
    return f"{_expression(key)} vmap {_expression(data)}"


def _update(body: Json) -> str:
    operator, element, name = _fields(body, "op", "elem", "set")
    return f"{operator} {name} {{ {element_text(element)} }}"


def _dnat(body: Json) -> str:
    return _nat("dnat", body)


def _snat(body: Json) -> str:
    return _nat("snat", body)


def _nat(name: str, body: Json) -> str:
    address, family, port, flags, type_flags = _fields(
        body, "addr", optional=("family", "port", "flags", "type_flags")
    )
    if type_flags not in (None, "concat", ["concat"]):
        raise NotUnderstood(f"{name} with type flags {type_flags!r}")
    to = _expression(address)
    if port is not None:
        to = f"[{to}]:{_expression(port)}" if ":" in to else f"{to}:{_expression(port)}"
    return f"{name} {f'{family} ' if family else ''}to {to}{_flags(flags)}"


def _masquerade(body: Json) -> str:
    flags, port = _fields(body or {}, optional=("flags", "port"))
    to = "" if port is None else f" to :{_expression(port)}"
    return f"masquerade{to}{_flags(flags)}"


def _redirect(body: Json) -> str:
    port, flags = _fields(body or {}, optional=("port", "flags"))
    return f"redirect{'' if port is None else f' to :{_expression(port)}'}{_flags(flags)}"


def _flags(flags: Json) -> str:
    items = [flags] if isinstance(flags, str) else flags or []
    return f" {','.join(items)}" if items else ""


def _reject(body: Json) -> str:
    if body is None or body in _REJECTS:
        return "reject"
    kind, code = _fields(body, "type", optional=("expr",))
    return f"reject with {kind}{'' if code is None else f' {code}'}"


def _counter(body: Json) -> str:
    if isinstance(body, str):
        return f'counter name "{body}"'
    packets, size = _fields(body, "packets", "bytes")
    return f"counter packets {packets} bytes {size}"


def _log(body: Json) -> str:
    (prefix,) = _fields(body or {}, optional=("prefix",))
    return "log" if prefix is None else f'log prefix "{prefix}"'


_STATEMENTS: dict[str, Callable[[Json], str]] = {
    "match": _match,
    "mangle": _mangle,
    "vmap": _vmap,
    "set": _update,
    "dnat": _dnat,
    "snat": _snat,
    "masquerade": _masquerade,
    "redirect": _redirect,
    "reject": _reject,
    "counter": _counter,
    "log": _log,
}


def _expression(item: Json) -> str:
    if isinstance(item, str | int) and not isinstance(item, bool):
        return str(item)
    name, body = _single(item)
    if name in _BINARY:
        left, right = body if isinstance(body, list) and len(body) == 2 else (None, None)
        mark = isinstance(right, int) and isinstance(left, Mapping) and _is_mark(left)
        return f"{_expression(left)} {name} {f'0x{right:08x}' if mark else _expression(right)}"
    printer = _EXPRESSIONS.get(name)
    if printer is None:
        raise NotUnderstood(f"expression {name!r} is not known")
    return printer(body)


def _payload(body: Json) -> str:
    return " ".join(_fields(body, "protocol", "field"))


def _meta(body: Json) -> str:
    (key,) = _fields(body, "key")
    return str(key) if key in _INTERFACE_NAMES else f"meta {key}"


def _ct(body: Json) -> str:
    key, family, direction = _fields(body, "key", optional=("family", "dir"))
    return " ".join(["ct", *(word for word in (direction, family) if word), key])


def _fib(body: Json) -> str:
    result, flags = _fields(body, "result", "flags")
    return f"fib {' . '.join([flags] if isinstance(flags, str) else flags)} {result}"


def _numgen(body: Json) -> str:
    mode, mod, offset = _fields(body, "mode", "mod", optional=("offset",))
    return f"numgen {mode} mod {mod}{f' offset {offset}' if offset else ''}"


def _concat(body: Json) -> str:
    return " . ".join(map(_expression, body))


def _prefix(body: Json) -> str:
    address, length = _fields(body, "addr", "len")
    return f"{_expression(address)}/{length}"


def _range(body: Json) -> str:
    first, last = body if isinstance(body, list) and len(body) == 2 else (None, None)
    return f"{_expression(first)}-{_expression(last)}"


def _set(body: Json) -> str:
    items = body if isinstance(body, list) else [body]
    return f"{{ {', '.join(map(_member, items))} }}"


def _member(item: Json) -> str:
    if isinstance(item, list) and len(item) == 2:
        return f"{_expression(item[0])} : {verdict_text(item[1])}"
    return _expression(item)


def _map(body: Json) -> str:
    key, data = _fields(body, "key", "data")
    return f"{_expression(key)} map {_expression(data)}"


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
