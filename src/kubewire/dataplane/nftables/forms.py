"""Rules of one form are read once: most of kube-proxy's differ in nothing but names, addresses and handles.

A rule's JSON is cut at these; what stands between them is its form. The first rule of a form is read in full
with placeholders in their place, which tells where each of them goes in the text of all the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import decode

from kubewire.dataplane.core.model import Rule
from kubewire.dataplane.nftables.expression import NotUnderstood
from kubewire.dataplane.nftables.text import chains_in

_HANDLE = ', "handle": '
_VARYING = re.compile(r'"([\da-f]*[.:][\da-f:.]*|@?[a-z]+-[A-Z2-7]{8}-[^"\\\0-\x1f]+)"')
_PLACE = re.compile(r"@?\x01:?(\d+)\x02")


class _Form(Struct, frozen=True):
    """Chain and text of a rule around a NUL, `%s` for what varies; `places` tells which value comes there."""

    pattern: str
    places: Sequence[int]

    def filled(self, values: Sequence[str]) -> tuple[str, str]:
        chain, _, text = (self.pattern % tuple([values[place] for place in self.places])).partition("\0")
        return chain, text


class Forms:
    """The forms seen so far; `read` makes a Rule of a decoded rule's body, or raises NotUnderstood."""

    def __init__(self, read: Callable[[Any], Rule]) -> None:
        self._read = read
        self._known: dict[tuple[object, ...], _Form | None] = {}

    def rule(self, text: str) -> tuple[str, Rule] | None:
        """Chain and Rule of `{"rule": {…}}` as nft prints it; None for one that has to be read in full.

        Such are those with escapes, and those that are not understood.
        """
        head, _, tail = text.partition(_HANDLE)
        pieces = _VARYING.split(head + tail.lstrip("0123456789"))
        values = pieces[1::2]
        key = (*pieces[::2], *map(_kind, values))
        if key not in self._known:
            self._known[key] = None if "\\" in text else self._form(pieces)
        form = self._known[key]
        if form is None:
            return None
        chain, line = form.filled(values)
        return chain, Rule(line, targets=chains_in(line.partition(' comment "')[0]))

    def _form(self, pieces: Sequence[str]) -> _Form | None:
        marked = list(pieces)
        for index in range(1, len(pieces), 2):
            marked[index] = _mark(pieces[index], index // 2)
        try:
            body = decode("".join(marked))["rule"]
            text = f"{body['chain']}\0{self._read(body).text}"
        except (NotUnderstood, KeyError, TypeError, ValueError):
            return None
        places = [int(place) for place in _PLACE.findall(text)]
        return _Form(_PLACE.sub("%s", text.replace("%", "%%")), places)


def _kind(value: str) -> str:
    """What the reader of an expression looks at: an IPv6 address has colons, a set's name is behind an @."""
    return "@" if value[0] == "@" else ":" if ":" in value else ""


def _mark(value: str, number: int) -> str:
    """The placeholder of a value, in JSON, of the same kind."""
    kind = _kind(value)
    return f'"@\\u0001{number}\\u0002"' if kind == "@" else f'"\\u0001{kind}{number}\\u0002"'
