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
    from kubewire.core import console
    from kubewire.hosts.overview import broken_records, clean
    from kubewire.netns.gone import left_alone
    from kubewire.steps.survey import collect_garbage

    if host:
        for line in clean(host):
            console.out(line)
        return
    removed = collect_garbage()
    for reason in left_alone():
        console.err(f"left alone: {reason}")
    for line in removed:
        console.out(f"removed {line}")
    if not removed:
        console.out("nothing to remove")
    for line in broken_records():
        console.out(f"kept: the record of {line}")
