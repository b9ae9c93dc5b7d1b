"""The words of an nft rule or verdict as `nft list` prints it, one after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from kubewire.dataplane.core.model import Element

VERDICTS = ("accept", "drop", "return", "continue")
JUMPS = ("jump", "goto")
_TOKEN = re.compile(r'"[^"]*"|[{},]|[^\s{},"]+')


class References(Struct, frozen=True, gc=False):
    """The chains that a text jumps or goes to, the named sets and maps that it looks up or updates."""

    chains: tuple[str, ...]
    sets: tuple[str, ...]


def words(text: str) -> list[str]:
    """All words; one in quotes is one word, with them."""
    return _TOKEN.findall(text)


@lru_cache(maxsize=65536)
def references(text: str) -> References:
    """What a rule or a verdict refers to."""
    parts = words(text)
    chains = [chain for word, chain in pairwise(parts) if word in JUMPS]
    sets = [word[1:] for word in parts if word.startswith("@")]
    return References(tuple(dict.fromkeys(chains)), tuple(dict.fromkeys(sets)))


class Reader:
    """The words of a rule, one after the other; ValueError where another one is needed."""

    def __init__(self, text: str) -> None:
        self._words = words(text)
        self.at = 0

    def peek(self) -> str:
        """The next word, "" at the end."""
        return self._words[self.at] if self.at < len(self._words) else ""

    def take(self) -> str:
        word = self.peek()
        if not word:
            raise ValueError("the rule ends too early")
        self.at += 1
        return word

    def accept(self, *wanted: str) -> bool:
        """Take these words if they come next."""
        found = tuple(self._words[self.at : self.at + len(wanted)]) == wanted
        self.at += len(wanted) if found else 0
        return found

    def need(self, wanted: str) -> None:
        if self.take() != wanted:
            raise ValueError(f"{wanted} is missing")

    def text_from(self, start: int) -> str:
        """The words from an index on, as text."""
        return " ".join(self._words[start:])

    def verdict(self) -> str:
        """A verdict with its chain: `goto service-…`."""
        word = self.take()
        return f"{word} {self.take()}" if word in JUMPS else word

    def elements(self) -> list[Element]:
        """`{ 0 : goto a, 1 : goto b }` or `{ 10.0.0.0/8, 172.18.0.1 }`."""
        self.need("{")
        entries: list[Element] = []
        parts: list[list[str]] = [[]]
        while (word := self.take()) != "}":
            if word == ",":
                entries.append(_entry(parts))
                parts = [[]]
            elif word == ":":
                parts.append([])
            else:
                parts[-1].append(word)
        return [*entries, _entry(parts)]


def _entry(parts: Sequence[Sequence[str]]) -> Element:
    key, *value = (" ".join(words) for words in parts)
    if not key or len(value) > 1:
        raise ValueError("not an element")
    return Element(key, "".join(value))
