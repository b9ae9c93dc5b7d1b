"""`kubewire verify`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def verify(
    lab: Annotated[str, typer.Argument(help="A lab that is up.", autocompletion=options.complete_up)] = "",
    snapshot: Annotated[
        Path | None, typer.Option(help="Judge this snapshot folder; needs no lab.", metavar="DIR")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TEXT,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the report to this file instead; of several hosts a file each, into this folder.",
            metavar="FILE|DIR",
        ),
    ] = None,
    host: options.OnHost = "",
) -> None:
    """Prove that every node's dataplane is what kube-proxy must have written, then send real traffic.

    Writes nothing to the cluster. Exit code 0: all checks passed, 1: one failed, 4: nothing could be checked.

    **Examples**

    `kubewire verify iptables`

    `kubewire verify iptables --format junit --output report.xml`

    `kubewire verify --snapshot my-snapshot`
    """
    options.require_lab_or_snapshot("verify", lab, snapshot, host)
    if snapshot is not None:
        from kubewire.app.verify import verify_snapshot

        raise typer.Exit(verify_snapshot(snapshot, form.value, output))
    from kubewire.app.placement import Request, resolve

    request = Request(lab, host, form=form.value, output=output)
    raise typer.Exit(resolve(lab, host).verify(request))
