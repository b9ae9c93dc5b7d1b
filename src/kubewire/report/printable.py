"""Text of nodes and clusters, made safe to show: as it is, but for control characters."""

from __future__ import annotations

import re

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """Characters that a terminal would act on, or that hide text, shown as escapes; line ends stay."""
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def xml_safe(text: str) -> str:
    """Characters that XML 1.0 can't hold, shown as escapes."""
    return _NOT_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
