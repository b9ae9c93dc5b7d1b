"""Changes inside an nft object as JSON: each value to another of its kind."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

Path = tuple[str | int, ...]
VERDICTS = {"accept": "drop", "drop": "accept", "return": "accept"}
WORDS = {"==": "!=", "!=": "==", "in": "!=", "tcp": "udp", "udp": "tcp", "sctp": "tcp", "new": "invalid"}


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of all values that hold no others."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif value != []:
        yield path


def altered(value: Any, path: Path, chains: Sequence[str]) -> Any:
    """The value with what stands at a path changed; `chains` are the names that a verdict may lead to."""
    if not path:
        return _other(value)
    step = path[0]
    if len(path) == 1 and step in VERDICTS and value[step] is None:
        return {VERDICTS[str(step)]: None}
    copied = copy.copy(value)
    if len(path) == 1 and step == "target":
        copied[step] = next(name for name in chains if name != value[step])
    else:
        copied[step] = altered(value[step], path[1:], chains)
    return copied


def without_statement(body: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """A rule with one of its statements left out, if it has several."""
    statements = body.get("expr", [])
    if len(statements) > 1:
        for number in range(len(statements)):
            yield number, {**body, "expr": [*statements[:number], *statements[number + 1 :]]}


def _other(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return "x"
    if isinstance(value, int):
        return value + 1
    if value in WORDS:
        return WORDS[value]
    try:
        return str(ip_address(value) + 1)
    except ValueError:
        return f"{value}x"
