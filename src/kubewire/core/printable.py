"""Text of nodes and clusters, made safe to show: as it is, but for control characters."""

from __future__ import annotations

import re
from functools import cache


def printable(text: str) -> str:
    """Characters that a terminal would act on, or that hide text, shown as escapes; line ends stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@cache
def _not_xml() -> re.Pattern[str]:
    """Compiled on demand: that takes longer than printing a report."""
    return re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_safe(text: str) -> str:
    """Characters that XML 1.0 can't hold, shown as escapes."""
    return _not_xml().sub(lambda match: match[0].encode("unicode_escape").decode(), text)
