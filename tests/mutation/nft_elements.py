"""Every single-element change to an nft set or map."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

Body = dict[str, Any]
STRAYS = {
    "ipv4_addr": "192.0.2.250",
    "ipv6_addr": "2001:db8::250",
    "inet_proto": "tcp",
    "inet_service": 9,
}


def element_mutants(kind: str, body: Body) -> Iterator[tuple[str, str, Body]]:
    """The kind of change, the element, and the changed set or map. The kernel fills those with timeouts."""
    elements = body.get("elem", [])
    if "timeout" in body:
        return
    for number, element in enumerate(elements):
        named = json.dumps(element)
        yield (
            f"{kind} element deleted",
            named,
            {**body, "elem": [*elements[:number], *elements[number + 1 :]]},
        )
        yield (
            f"{kind} element doubled",
            named,
            {**body, "elem": [*elements[: number + 1], *elements[number:]]},
        )
    yield f"stray {kind} element", "", {**body, "elem": [*elements, _stray(kind, body)]}
    if kind == "map":
        for number, (left, right) in enumerate(pairwise(elements)):
            if left[1] != right[1]:
                crossed = [
                    *elements[:number],
                    [left[0], right[1]],
                    [right[0], left[1]],
                    *elements[number + 2 :],
                ]
                yield "map values swapped", str(number), {**body, "elem": crossed}


def _stray(kind: str, body: Body) -> Any:
    """An element for a key that nothing asks for."""
    types = body["type"]
    values = [STRAYS[word] for word in ([types] if isinstance(types, str) else types)]
    key = values[0] if len(values) == 1 else {"concat": values}
    if kind == "set":
        return key
    return [key, {"drop": None} if body["map"] == "verdict" else STRAYS[body["map"]]]
