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
        bool, typer.Option("--verify", help="Prove the lab afterwards, in the same run.")
    ] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Remove a lab that is up, make it afresh.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="On kind: keep what a failed creation made, to look into it.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell what would be done; nothing is written.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what is changed before and after, also with --check.")
    ] = False,
    reports: Annotated[
        Path | None,
        typer.Option(help="With --verify: a folder for each host's report, HOST.json.", metavar="DIR"),
    ] = None,
    wait: options.Wait = True,
) -> None:
    """Make a lab, or bring one that is up back to its definition.

    A second run changes nothing and says so. What had drifted is named: changed replicas, a stopped
    kube-proxy, a rule deleted by hand.

    **Examples**

    `kubewire up iptables --verify`

    `kubewire up iptables --replicas 7 --kubernetes 1.34`

    `kubewire up my/lab.yml --set httpbin.sessionAffinity=ClientIP`

    `kubewire up iptables --host all-students --inventory classroom.yml --verify`
    """
    from kubewire.app import up as bring_up
    from kubewire.core.errors import DefinitionError
    from kubewire.hosts.choice import LOCAL, target_of
    from kubewire.hosts.vm.hosting import HOST

    if reports and not verify:
        raise DefinitionError("--reports are those of --verify", mend="give --verify, or leave --reports out")
    if inventory and host in ("", LOCAL, HOST):
        raise DefinitionError("--inventory knows the hosts of --host NAME", mend="name one, or leave it out")
    overrides = options.overrides(kubernetes, mode, replicas, settings)
    call = bring_up.UpCall(
        *(lab, overrides, provider),
        verify=verify,
        recreate=recreate,
        keep=keep,
        check=check,
        diff=diff,
        wait=wait,
        reports=reports,
    )
    if check:
        from kubewire.binaries.resolving import require_exists
        from kubewire.lab.loading import load_lab

        loaded = load_lab(lab, overrides)
        require_exists(loaded.kubernetes, loaded.control_plane)
    if reports and call.proves:
        from kubewire.app.reports import make_report_folder

        make_report_folder(reports)
    if host == HOST or not host:
        from kubewire.hosts.vm.choice import why_in_vm

        if why := why_in_vm(lab, overrides, provider, host):
            from kubewire.app import in_vm

            raise typer.Exit(in_vm.bring_up(call, why))
    if target := target_of(lab, host, inventory or ()):
        from kubewire.app import on_hosts

        raise typer.Exit(on_hosts.bring_up(call, target))
    raise typer.Exit(bring_up.bring_up(call))
