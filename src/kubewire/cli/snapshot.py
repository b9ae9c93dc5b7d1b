"""`kubewire snapshot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options


def snapshot(
    lab: options.RunningLab,
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="DIR")],
    host: options.OnHost = "",
) -> None:
    """Save everything that `verify` reads as files, to verify it later without the lab.

    **Example**

    `kubewire snapshot iptables before; kubewire verify --snapshot before`
    """
    from kubewire.app.placement import resolve
    from kubewire.core import console
    from kubewire.snapshot.folder import write_snapshot

    taken = resolve(lab, host).snapshot()
    write_snapshot(taken, folder)
    console.out(f"snapshot of {len(taken.nodes)} nodes: {folder}")
