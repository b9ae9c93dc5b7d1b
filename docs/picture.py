"""Draw what a command prints in a terminal as an SVG: `python docs/picture.py OUT.svg COMMAND…`."""

from __future__ import annotations

import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def terminal_output(argv: list[str]) -> str:
    """Run a command under a pseudo-terminal; what it left on the screen, line by line."""
    seen = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        seen.extend(data)
        return data

    os.environ.update(COLUMNS="100", LINES="50", TERM="xterm-256color")
    pty.spawn(argv, read)
    return "\n".join(left_standing(seen.decode(errors="replace")))


def left_standing(text: str) -> list[str]:
    """The lines that stay when a live status line has come and gone."""
    lines = [""]
    for piece in re.split(r"(\n|\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh]|\r)", text):
        match piece:
            case "\n":
                lines.append("")
            case "\x1b[1A":
                lines.pop()
            case "\x1b[2K":
                lines[-1] = ""
            case "\r" | "\x1b[?25l" | "\x1b[?25h":
                continue
            case _:
                lines[-1] += piece
    return lines


def main() -> None:
    target, *argv = sys.argv[1:]
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=100, file=nowhere)
        console.print(Text(f"$ {' '.join(argv)}", style="bold"))
        console.print(Text.from_ansi(terminal_output(argv)))
        drawn = console.export_svg(title="kubewire")
    Path(target).write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main()
