"""Lines of styled text: folded to a width, in columns. Terminal and file output are the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from unicodedata import combining, east_asian_width

Span = tuple[str, str]
"""A text and its style in rich's words, "" for none."""
Line = tuple[Span, ...]

INDENT = 2
GAP = 2
_WORD = re.compile(r"\s*\S+\s*")


def fold(spans: Iterable[Span], width: int) -> Iterator[Line]:
    """Lines no wider than `width`, broken between words where there are some, else within them."""
    parts = list(spans)
    text = "".join(part for part, _ in parts)
    start = 0
    for end in (*_breaks(text, width), len(text)):
        yield tuple(_cut(parts, start, end))
        start = end


def columns(
    rows: Sequence[tuple[str, str]], width: int, most: Mapping[str, int] | None = None
) -> Iterator[Line]:
    """(label, text) rows, indented: the labels dim, the texts folded beside them, with their line ends.

    `most`: for some labels the number of lines that a text may take.
    """
    left = max((len(label) for label, _ in rows), default=0) + GAP
    room = max(1, width - INDENT - left)
    for label, text in rows:
        lines = [line for paragraph in text.split("\n") for line in fold([(paragraph, "")], room)]
        limit = (most or {}).get(label, len(lines))
        if len(lines) > limit:
            lines = [*lines[: limit - 1], ((f"… and {len(lines) - limit + 1} more lines", "dim"),)]
        for index, line in enumerate(lines):
            yield ((" " * INDENT + ("" if index else label).ljust(left), "dim"), *line)


def plain(lines: Iterable[Line]) -> str:
    """The lines without their styles."""
    return "".join("".join(text for text, _ in line).rstrip() + "\n" for line in lines)


def _cut(spans: Sequence[Span], start: int, end: int) -> Iterator[Span]:
    """The part of the spans' joined text from `start` to `end`."""
    at = 0
    for text, style in spans:
        piece = text[max(start - at, 0) : max(end - at, 0)]
        if piece:
            yield piece, style
        at += len(text)


def _breaks(text: str, width: int) -> list[int]:
    """Where lines after the first begin."""
    if text.isascii() and len(text) <= width:
        return []
    found: list[int] = []
    column = 0
    for word in _WORD.finditer(text):
        size = _cells(word[0].rstrip())
        if size > width:
            for position, column in _chopped(word[0], word.start(), width):  # noqa: B007
                found += [position] if position else []
        elif column + size > width:
            found.append(word.start())
            column = _cells(word[0])
        else:
            column += _cells(word[0])
    return found


def _chopped(word: str, start: int, width: int) -> Iterator[tuple[int, int]]:
    """Each piece of a word that is longer than a line: where it begins, and how wide it is."""
    begin, size = start, 0
    for position, letter in enumerate(word, start):
        wide = _cells(letter)
        if size + wide > width:
            yield begin, size
            begin, size = position, 0
        size += wide
    yield begin, size


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
