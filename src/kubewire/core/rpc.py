"""What another process or host answers is data of a known shape: one decoder, one error that names it."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from kubewire.core.errors import LabError
from kubewire.core.printable import one_line

SHOWN = 200
"""Characters of a peer's own words in an error."""

T = TypeVar("T")


def decode(data: str | bytes, kind: type[T], host: str, what: str) -> T:
    """A JSON value of that type; LabError: `HOST: WHAT answered an unknown key add_host`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise LabError(f"{what} answered {_fault(str(error))}", where=host) from error


def _fault(said: str) -> str:
    unknown = re.search(r"unknown field `(.*?)`(?: - at `(.*)`)?\Z", said, re.DOTALL)
    if unknown is None:
        return f"what it may not: {_short(said)}"
    return f"an unknown key {_short(unknown[1])}" + (f" (at {_short(unknown[2])})" if unknown[2] else "")


def _short(text: str) -> str:
    return one_line(text if len(text) <= SHOWN else text[:SHOWN] + "…")
