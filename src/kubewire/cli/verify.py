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
    lab: Annotated[str, typer.Argument(help="A running lab.", autocompletion=options.complete_up)] = "",
    snapshot: Annotated[
        Path | None, typer.Option(help="Verify this snapshot folder instead of a lab.", metavar="DIR")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TEXT,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the report to this file; for several hosts, to a file each in this folder.",
            metavar="FILE|DIR",
        ),
    ] = None,
    host: options.OnHost = "",
) -> None:
    """Verify that every node's dataplane is what kube-proxy must have written, then send real traffic.

    Changes nothing in the cluster. Exit code 0: all checks passed, 1: one failed, 4: none could run.

    **Examples**

    `kubewire verify iptables`

    `kubewire verify iptables --format junit --output report.xml`

    `kubewire verify --snapshot my-snapshot`
    """
    options.require_lab_or_snapshot("verify", lab, snapshot, host)
    if snapshot is not None:
        from kubewire.app.reports import emit_report
        from kubewire.verify.offline import verify_folder

        raise typer.Exit(emit_report(verify_folder(snapshot), form.value, output))
    from kubewire.app.placement import Request, resolve

    request = Request(lab, host, form=form.value, output=output)
    raise typer.Exit(resolve(lab, host).verify(request))
