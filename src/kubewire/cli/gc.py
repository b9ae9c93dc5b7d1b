"""`kubewire gc`."""

from __future__ import annotations

from typing import Annotated

import typer

from kubewire.cli.forwarding import command_line


def gc(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Clean up on this lab host instead.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """Remove what crashes left: dead labs, kind clusters, VMs, SSH sockets, build folders, logs, locks.

    **Examples**

    `kubewire gc --dry-run`

    `kubewire gc --host alice`
    """
    from kubewire.app.gc import clean_up
    from kubewire.core import console
    from kubewire.hosts.overview import on_host

    lines = on_host(host, command_line(context)) if host else clean_up(dry_run=dry_run)
    for line in lines:
        console.out(line)
