"""Looking up an address, protocol and port in nft sets and maps, named or anonymous."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from ipaddress import ip_address, ip_network

from kubewire.dataplane.core.model import Element
from kubewire.dataplane.core.packet import Address, NotModelled

Value = Address | int | str
"""One part of a key: an address, a port, or a word such as a protocol."""


class Lookup:
    """Elements indexed by key, once one is asked for; networks and ranges are tried one after the other."""

    def __init__(self, elements: Sequence[Element]) -> None:
        self._elements = elements

    @cached_property
    def _index(self) -> tuple[Mapping[str, Element], Sequence[Element]]:
        exact: dict[str, Element] = {}
        ranges: list[Element] = []
        for element in self._elements:
            key = _normal(element.key)
            if key is None:
                ranges.append(element)
            else:
                exact[key] = element
        return exact, ranges

    def find(self, values: Sequence[Value]) -> Element | None:
        """The element that holds the key. NotModelled for an element of a form that isn't known."""
        exact, ranges = self._index
        found = exact.get(" . ".join(map(str, values)))
        return found or next((element for element in ranges if _holds(element.key, values)), None)


def matches(value: Value, text: str) -> bool:
    """Whether a value is the one that nft prints so, or lies in that network or range."""
    try:
        if isinstance(value, int):
            return _is_number(value, text)
        if isinstance(value, str):
            return value == text
        first, dash, last = text.partition("-")
        if dash:
            low, high = int(ip_address(first)), int(ip_address(last))
            return ip_address(first).version == value.version and low <= int(value) <= high
        return value in _network(text)
    except ValueError as error:
        raise NotModelled(f"{text!r} is not understood") from error


_network = lru_cache(maxsize=16384)(ip_network)


def _is_number(value: int, text: str) -> bool:
    """`80`, `80-90`, `0x4000`, or the first bits of a mark, `0x00000000/1`."""
    if "/" in text:
        start, _, length = text.partition("/")
        return value >> (32 - int(length)) == int(start, 0) >> (32 - int(length))
    first, dash, last = text.partition("-")
    return int(first) <= value <= int(last) if dash else int(first, 0) == value


def _holds(key: str, values: Sequence[Value]) -> bool:
    parts = key.split(" . ")
    return len(parts) == len(values) and all(map(matches, values, parts))


def _normal(key: str) -> str | None:
    """The key with addresses in their shortest form; None if it stands for more than one value."""
    parts = []
    for part in key.split(" . "):
        if "/" in part or ("-" in part and part[0].isdigit()):
            return None
        try:
            parts.append(str(ip_address(part)) if ":" in part or part.count(".") == 3 else part)
        except ValueError:
            return None
    return " . ".join(parts)
