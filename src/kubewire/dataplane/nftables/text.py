"""nft's JSON expressions as the text that nft prints; strict: what isn't known is never guessed.

Source: nftables' src/json.c and libnftables-json(5) for the JSON, `nft list` of 1.0.6 for the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubewire.dataplane.core.objects import with_port
from kubewire.dataplane.nftables.expression import (
    BINARY,
    INTERFACES,
    Json,
    NotUnderstood,
    expression,
    fields,
    is_mark,
    single,
    verdict_text,
)
from kubewire.dataplane.nftables.words import JUMPS, VERDICTS

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_REJECTS = ({"type": "icmp", "expr": "port-unreachable"}, {"type": "icmpv6", "expr": "port-unreachable"})


def rule_text(expressions: Sequence[Json], comment: str = "") -> str:
    """One rule as `nft list` prints it, its comment last. Raises NotUnderstood."""
    words = [_statement(expression) for expression in expressions]
    return " ".join([*words, f'comment "{comment}"'] if comment else words)


def element_text(key: Json) -> str:
    """A set element's key with its attributes: `10.96.0.1 . tcp . 443 comment "…"`."""
    if not isinstance(key, dict) or "elem" not in key:
        return expression(key)
    value, timeout, expires, comment = fields(key["elem"], "val", optional=("timeout", "expires", "comment"))
    text = expression(value)
    text += "" if timeout is None else f" timeout {duration_text(timeout)}"
    text += "" if expires is None else f" expires {duration_text(expires)}"
    return text if comment is None else f'{text} comment "{comment}"'


def member_text(key: str, value: str = "", comment: str = "") -> str:
    """A member of a set or map: `10.96.0.1 . tcp . 443 comment "…" : goto service-…`."""
    text = f'{key} comment "{comment}"' if comment else key
    return f"{text} : {value}" if value else text


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


def _statement(item: Json) -> str:
    name, body = single(item)
    if (name in VERDICTS and body is None) or name in JUMPS:
        return verdict_text(item)
    printer = _STATEMENTS.get(name)
    if printer is None:
        raise NotUnderstood(f"statement {name!r} is not known")
    return printer(body)


def _match(body: Json) -> str:
    operator, left, right = fields(body, "op", "left", "right")
    kind, detail = single(left)
    key = detail.get("key") if isinstance(detail, dict) else None
    if kind == "meta" and key in INTERFACES and isinstance(right, str) and not right.startswith("@"):
        value = f'"{right}"'
    elif isinstance(right, int) and not isinstance(right, bool) and is_mark(left):
        value = f"0x{right:08x}"
    elif isinstance(right, dict) and "prefix" in right and is_mark(left):
        address, length = fields(right["prefix"], "addr", "len")
        value = f"0x{address:08x}/{length}"
    elif kind == "ct" and isinstance(right, list):
        value = ",".join(map(expression, right))
    else:
        value = expression(right)
    bits = kind in BINARY or (kind == "ct" and key in ("state", "status") and not isinstance(right, dict))
    silent = operator == "in" or (operator == "==" and not bits)
    if operator not in ("in", "==", "!=", "<", ">", "<=", ">="):
        raise NotUnderstood(f"operator {operator!r} is not known")
    return f"{expression(left)} {value}" if silent else f"{expression(left)} {operator} {value}"


def _mangle(body: Json) -> str:
    key, value = fields(body, "key", "value")
    mark = isinstance(value, int) and is_mark(key)
    return f"{expression(key)} set {f'0x{value:08x}' if mark else expression(value)}"


def _vmap(body: Json) -> str:
    key, data = fields(body, "key", "data")
    return f"{expression(key)} vmap {expression(data)}"


def _update(body: Json) -> str:
    operator, element, name = fields(body, "op", "elem", "set")
    return f"{operator} {name} {{ {element_text(element)} }}"


def _dnat(body: Json) -> str:
    return _nat("dnat", body)


def _snat(body: Json) -> str:
    return _nat("snat", body)


def _nat(name: str, body: Json) -> str:
    address, family, port, flags, type_flags = fields(
        body, "addr", optional=("family", "port", "flags", "type_flags")
    )
    if type_flags not in (None, "concat", ["concat"]):
        raise NotUnderstood(f"{name} with type flags {type_flags!r}")
    to = expression(address)
    if port is not None:
        to = with_port(to, expression(port))
    return f"{name} {f'{family} ' if family else ''}to {to}{_flags(flags)}"


def _masquerade(body: Json) -> str:
    flags, port = fields(body or {}, optional=("flags", "port"))
    to = "" if port is None else f" to :{expression(port)}"
    return f"masquerade{to}{_flags(flags)}"


def _redirect(body: Json) -> str:
    port, flags = fields(body or {}, optional=("port", "flags"))
    return f"redirect{'' if port is None else f' to :{expression(port)}'}{_flags(flags)}"


def _flags(flags: Json) -> str:
    items = [flags] if isinstance(flags, str) else flags or []
    return f" {','.join(items)}" if items else ""


def _reject(body: Json) -> str:
    if body is None or body in _REJECTS:
        return "reject"
    kind, code = fields(body, "type", optional=("expr",))
    return f"reject with {kind}{'' if code is None else f' {code}'}"


def _counter(body: Json) -> str:
    if isinstance(body, str):
        return f'counter name "{body}"'
    packets, size = fields(body, "packets", "bytes")
    return f"counter packets {packets} bytes {size}"


def _log(body: Json) -> str:
    (prefix,) = fields(body or {}, optional=("prefix",))
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
