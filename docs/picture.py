"""Draw what a command prints in a terminal as an SVG: `python docs/picture.py OUT.svg COMMAND…`."""

from __future__ import annotations

import os
import pty
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
    lines = seen.decode(errors="replace").replace("\r\n", "\n").split("\n")
    return "\n".join(line.rpartition("\r")[2].rpartition("\x1b[2K")[2] for line in lines)


def main() -> None:
    target, *argv = sys.argv[1:]
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=100, file=nowhere)
        console.print(Text(f"$ {' '.join(argv)}", style="bold"))
        console.print(Text.from_ansi(terminal_output(argv)))
        console.save_svg(target, title="kubewire")


if __name__ == "__main__":
    main()
