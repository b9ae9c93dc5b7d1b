"""`kubewire up`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options


def up(
    lab: options.Lab,
    *,
    provider: options.Provider = "auto",
    host: options.Host = "",
    inventory: options.Inventory = None,
    kubernetes: options.Kubernetes = None,
    mode: options.Mode = None,
    replicas: options.Replicas = None,
    settings: options.Set = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify the lab afterwards, in the same run.")
    ] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Remove and recreate a lab that is up.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="On kind: keep the containers of a failed creation, to debug it.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Dry run: print the changes, write nothing.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what changes, before and after; also with --check.")
    ] = False,
    reports: Annotated[
        Path | None,
        typer.Option(
            help="With --verify: write each host's report to this folder, as HOST.json.", metavar="DIR"
        ),
    ] = None,
    wait: options.Wait = True,
) -> None:
    """Create a lab, or restore a running lab to its definition.

    A second run changes nothing and reports that. Each repair is listed: changed replicas, a stopped
    kube-proxy, a rule deleted by hand.

    **Examples**

    `kubewire up iptables --verify`

    `kubewire up iptables --replicas 7 --kubernetes 1.34`

    `kubewire up my/lab.yml --set httpbin.sessionAffinity=ClientIP`

    `kubewire up iptables --host all-students --inventory classroom.yml --verify`
    """
    from kubewire.app import placement

    request = placement.Request(
        lab,
        host,
        tuple(inventory or ()),
        options.overrides(kubernetes, mode, replicas, settings),
        provider,
        verify=verify,
        recreate=recreate,
        keep=keep,
        check=check,
        diff=diff,
        wait=wait,
        output=reports,
    )
    raise typer.Exit(placement.up(request))
