"""`kubewire gc`."""

from __future__ import annotations

from typing import Annotated

import typer


def gc(
    host: Annotated[str, typer.Option(help="On that host instead, where labs were brought up.")] = "",
) -> None:
    """Remove what crashes left: files, logs and namespaces of labs that live no more.

    **Example**

    `kubewire gc --host alice`
    """
    from kubewire.hosts.overview import clean
    from kubewire.steps.survey import collect_garbage

    if host:
        typer.echo("\n".join(clean(host)))
        return
    removed = collect_garbage()
    for line in removed:
        typer.echo(f"removed {line}")
    if not removed:
        typer.echo("nothing to remove")
