"""`kubewire snapshot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options


def snapshot(
    lab: options.RunningLab,
    folder: Annotated[Path, typer.Argument(help="A folder that doesn't exist yet.", metavar="DIR")],
    host: options.OnHost = "",
) -> None:
    """Keep everything that verify looks at, as files that anybody can judge without the lab.

    **Example**

    `kubewire snapshot iptables before; kubewire verify --snapshot before`
    """
    from kubewire.app.observe import take
    from kubewire.core import console
    from kubewire.hosts.choice import one_away
    from kubewire.hosts.snapshot import bring_snapshot
    from kubewire.snapshot.folder import write_snapshot

    there = one_away(lab, host)
    taken = bring_snapshot(there) if there else take(lab)
    write_snapshot(taken, folder)
    console.out(f"snapshot of {len(taken.nodes)} nodes: {folder}")
