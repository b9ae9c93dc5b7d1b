"""`kubewire gc`."""

from __future__ import annotations

import typer


def gc() -> None:
    """Remove what crashes left: files, logs and namespaces of labs that live no more."""
    from kubewire.steps.survey import collect_garbage

    removed = collect_garbage()
    for line in removed:
        typer.echo(f"removed {line}")
    if not removed:
        typer.echo("nothing to remove")
