"""`kubewire gc`."""

from __future__ import annotations

from typing import Annotated

import typer


def gc(
    host: Annotated[str, typer.Option(help="On that host instead, where labs were brought up.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """Remove what crashes left: files, logs and namespaces of labs that live no more.

    **Example**

    `kubewire gc --dry-run`
    `kubewire gc --host alice`
    """
    from kubewire.app.gc import collect_garbage, garbage, left_alone
    from kubewire.core import console
    from kubewire.hosts.overview import broken_records, clean

    if host:
        for line in clean(host, dry_run=dry_run):
            console.out(line)
        return
    found = garbage()
    for reason in left_alone():
        console.err(f"left alone: {reason}")
    lines = [left.what for left in found] if dry_run else collect_garbage(found)
    for line in lines:
        console.out(f"would remove {line}" if dry_run else f"removed {line}")
    if not lines:
        console.out("nothing to remove")
    for line in broken_records():
        console.out(f"kept: the record of {line}")
