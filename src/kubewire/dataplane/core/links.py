"""One interface from `ip -j addr`, with its addresses of one family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Element, Link
from kubewire.dataplane.core.objects import canonical

_FAMILIES: dict[IpFamily, str] = {"ipv4": "inet", "ipv6": "inet6"}


def parse_link(entries: Iterable[Mapping[str, Any]], name: str, family: IpFamily) -> Link | None:
    """The interface of that name, None if there is none. Raises ValueError for what `ip` doesn't print."""
    try:
        entry = next((entry for entry in entries if entry.get("ifname") == name), None)
        if entry is None:
            return None
        flags = entry.get("flags")
        addresses = [
            Element(f"{canonical(info['local'])}/{int(info['prefixlen'])}")
            for info in entry.get("addr_info", ())
            if info.get("family") == _FAMILIES[family]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not as ip -j addr prints it: {error!r}") from error
    return Link(family, name, tuple(addresses), None if flags is None else "UP" in flags)


def address_text(element: Element, family: IpFamily) -> str:
    """An address as `ip addr` prints it: `inet 10.96.0.1/32`."""
    return f"{_FAMILIES[family]} {element.key}"
