"""The only module that prints to standard output and standard error.

Output may contain text from lab hosts, nodes, pods, clusters and other users' files. Control characters that
a terminal would act on, or that hide text, are printed as escapes. No such text can start a line of its own:
a line stays one line, and in a paragraph the lines after the first are indented.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from kubewire.core.printable import indented, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

UNCUT = 10_000
"""The width of a table where the output isn't a terminal: wide enough for every text."""
_Safe = Callable[[str], str]
_FORCED = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def out(text: str) -> None:
    """A paragraph on standard output."""
    _write(sys.stdout, indented(text) + "\n")


def err(text: str) -> None:
    """A paragraph on standard error."""
    _write(sys.stderr, indented(text) + "\n")


def block(text: str) -> None:
    """Lines that kubewire wrote, on standard output: their line ends are kept."""
    _write(sys.stdout, printable(text))


def document(text: str) -> None:
    """Output for a program (JSON, YAML, XML) on standard output: unchanged unless it is a terminal."""
    _write(sys.stdout, printable(text) if sys.stdout.isatty() else text)


def rewritten(text: str, *, last: bool) -> None:
    """A line of standard error that replaces the one before it, on a terminal."""
    _write(sys.stderr, f"\r\x1b[K{one_line(text)}" + ("\n" if last else ""))


def is_styled() -> bool:
    """Whether standard output supports styles; without them, rich isn't loaded."""
    return sys.stdout.isatty() or any(name in os.environ for name in _FORCED)


class Screen:
    """Styled text on standard output or standard error, by rich; markup is never interpreted."""

    def __init__(self, console: Console | None = None, *, stderr: bool = False) -> None:
        if console is None:
            from rich.console import Console

            console = Console(stderr=stderr, highlight=False)
        self._console = console

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    @property
    def width(self) -> int:
        return self._console.width

    def line(self, *parts: str | tuple[str, str] | Text, style: str = "") -> None:
        """One line of texts and (text, style) pairs, never wrapped."""
        self._print(_line(parts, style, one_line))

    def rendered(self, text: Text) -> None:
        """Text of a report's layout: its line ends are kept."""
        self._print(_line([text], "", printable))

    def paragraph(self, text: str, style: str = "") -> None:
        """A text that may have several lines, those after the first indented."""
        self._print(_line([text], style, indented))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]]) -> None:
        """Columns without a frame; the last one is folded if the width requires it."""
        from rich.table import Table

        table = Table(*heads, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(_line([cell], "", one_line) for cell in row))
        table.columns[-1].overflow = "fold"
        self._console.print(table, width=self.width if self.is_terminal else UNCUT)

    def status(self, text: str) -> Status:
        """A line that stays below all other output while its status runs."""
        return self._console.status(self.status_text(text))

    def status_text(self, text: str) -> Text:
        line = _line([text], "", one_line)
        line.truncate(max(20, self.width - 4), overflow="ellipsis")
        return line

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def _line(parts: Iterable[str | tuple[str, str] | Text], style: str, safe: _Safe) -> Text:
    from rich.text import Text

    line = Text(style=style)
    for part in parts:
        if isinstance(part, Text):
            line.append_text(_safe_text(part, safe))
        elif isinstance(part, str):
            line.append(safe(part))
        else:
            line.append(safe(part[0]), style=part[1])
    return line


def _safe_text(text: Text, safe: _Safe) -> Text:
    """The same text, printable; escapes keep the style of the characters that they replace."""
    from rich.text import Text

    if safe(text.plain) == text.plain:
        return text
    edges = sorted({edge for span in text.spans for edge in (span.start, span.end) if edge})
    made = Text(style=text.style)
    for piece in text.divide(edges):
        styles = [span.style for span in piece.spans]
        part = Text(safe(piece.plain))
        for each in styles:
            part.stylize(each)
        made.append_text(part)
    return made


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
