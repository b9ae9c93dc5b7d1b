"""Text from nodes and clusters, safe to print: control characters are escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

ODD_LIMIT = 1 << 16
"""Invalid UTF-8 bytes that are shown one by one: Python takes a microsecond for each."""


def text_of(data: bytes) -> str:
    """Untrusted bytes as text: invalid UTF-8 as `\\xNN`, or as U+FFFD if there is much of it."""
    odd = len(data) - len(data.decode(errors="ignore").encode())
    return data.decode(errors="backslashreplace" if odd <= ODD_LIMIT else "replace")


def printable(text: str) -> str:
    """Characters that a terminal would act on, or that hide text, shown as escapes; line ends stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str) -> str:
    """The same on one line: line ends are escapes, too."""
    return printable(text).replace("\n", "\\n")


def indented(text: str) -> str:
    """The same as a paragraph: lines after the first are indented, so that none begins a paragraph."""
    first, *more = printable(text).split("\n")
    return "\n".join([first, *(line if line.startswith("  ") else f"  {line}" for line in more)])


def printable_values(value: Any) -> Any:
    """JSON-like data with every text in it printable, keys included."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_values(key): printable_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable_values(item) for item in value]
    return value


@cache
def _not_xml() -> re.Pattern[str]:
    """Compiled on demand: compiling takes longer than printing a report."""
    return re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_safe(text: str) -> str:
    """Characters that XML 1.0 can't hold, shown as escapes."""
    return _not_xml().sub(lambda match: match[0].encode("unicode_escape").decode(), text)
