"""`kubewire diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diff(
    before: Annotated[Path, typer.Argument(help="The folder of a run or of a snapshot.", metavar="BEFORE")],
    after: Annotated[
        Path | None,
        typer.Argument(
            help="Another one. Without it, each version of BEFORE is compared with the next.", metavar="AFTER"
        ),
    ] = None,
    accept: Annotated[Path | None, typer.Option(help="A file with accepted changes.", metavar="FILE")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all changes, also those with a known cause.")
    ] = False,
) -> None:
    """What changed in the dataplane between two runs or snapshots: chains, rules, maps, and why.

    Addresses and pods are compared by their roles. Exit code 0: every change is explained by the version
    table or accepted; 1: there are other changes; 2: there is nothing to compare.

    **Examples**

    `kubewire diff monday tuesday`

    `kubewire diff nightly --all`
    """
    from kubewire.nightly import diff as compare

    raise typer.Exit(compare.compare(before, after, accept, everything=everything))
