"""`kubewire diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diff(
    before: Annotated[Path, typer.Argument(help="A nightly (its folder), or a snapshot.", metavar="BEFORE")],
    after: Annotated[
        Path | None,
        typer.Argument(
            help="Another one; left out: each version of BEFORE against the next.", metavar="AFTER"
        ),
    ] = None,
    accept: Annotated[Path | None, typer.Option(help="A file of accepted drift.", metavar="FILE")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every object, also of known causes.")] = False,
) -> None:
    """What changed in the dataplane between two runs or snapshots: chains, rules, maps, and why.

    Addresses and pods are compared by their roles. Exit code 0: nothing drifted but for causes that the
    version table knows or that are accepted; 1: something else did; 2: there is nothing to compare.

    **Examples**

    `kubewire diff monday tuesday`

    `kubewire diff nightly --all`
    """
    from kubewire.nightly import diff as compare

    raise typer.Exit(compare.compare(before, after, accept, everything=everything))
