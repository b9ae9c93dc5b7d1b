"""`kubewire list`."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

UNCUT = 10_000
"""Columns enough for every path, where what reads it isn't a terminal."""


def list_() -> None:
    """The labs that can be brought up, and how those that were are now."""
    from kubewire.hosts.overview import listed
    from kubewire.steps.survey import listed_labs

    table = Table("LAB", "PHASE", "PROVIDER", "KUBERNETES", "DEFINITION", box=None, pad_edge=False)
    away = listed()
    names = {row[0] for row in away}
    for row in sorted([*away, *(row for row in listed_labs() if row[0] not in names)]):
        table.add_row(*(Text(cell) for cell in row))
    table.columns[-1].overflow = "fold"
    console = Console(highlight=False)
    console.print(table, width=console.width if console.is_terminal else UNCUT)
