"""`kubewire matrix`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options


def matrix(
    file: Annotated[
        Path | None, typer.Argument(help="The matrix file; by default labs/matrix.yml.", metavar="FILE")
    ] = None,
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Run only these cells, such as mode=nftables,kubernetes>=1.34; repeatable.",
            metavar="SELECTOR",
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="Run the K-th of N parts, to use N runners.", metavar="K/N")
    ] = "",
    jobs: Annotated[int | None, typer.Option(help="The maximum of parallel cells.", min=1, max=64)] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Where the cells run: on this machine, in a VM if this kernel lacks the mode, or on hosts or"
            " groups of an Ansible inventory; separate several with commas.",
            metavar="local|vm|NAME",
        ),
    ] = "",
    inventory: options.Inventory = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Start no more cells after one has failed.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Check for patches that are newer than the cached ones.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the run in --output, or the newest: finished cells are kept."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="The folder for results and snapshots.", metavar="DIR")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="An earlier run; changes since then fail.", metavar="DIR")
    ] = None,
    accept: Annotated[Path | None, typer.Option(help="A file with accepted changes.", metavar="FILE")] = None,
    show: Annotated[bool, typer.Option("--plan", help="Print the cells and exit.")] = False,
) -> None:
    """Run many labs, one cell for each version and mode, and report which of them failed and why.

    Exit code 0: every cell that can run passed; 1: a check failed; 2: the matrix file or the command line is
    invalid; 3: no cell can run; 4: a cell could not be verified. An interrupted run keeps its finished cells.

    **Examples**

    `kubewire matrix --only 'mode=nftables,kubernetes>=1.34'`

    `kubewire matrix --shard 2/5 --output nightly`

    `kubewire matrix --host local,vm`

    `kubewire matrix --host runners --inventory runners.yml`

    `kubewire matrix --resume`
    """
    from kubewire.nightly import command

    wanted = command.Options(
        only=tuple(only or ()),
        shard=shard,
        fresh=fresh,
        hosts=host,
        inventory=tuple(inventory or ()),
        jobs=jobs,
        fail_fast=fail_fast,
        baseline=baseline,
        accept=accept,
    )
    raise typer.Exit(command.matrix(file, output, wanted, goes_on=resume, plan=show))
