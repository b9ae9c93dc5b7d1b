"""`kubewire up`."""

from __future__ import annotations

import os
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
        typer.Option(help="With --verify on a group: the folder for each host's report.", metavar="DIR"),
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
    from kubewire.cli import bring_up
    from kubewire.hosts.choice import target_of
    from kubewire.vm.hosting import HOST

    if keep:
        os.environ["KUBEWIRE_KEEP"] = "1"
    overrides = options.overrides(kubernetes, mode, replicas, settings)
    if check and "kubernetes" in overrides:
        from kubewire.kubernetes.resolving import require_exists

        require_exists(overrides["kubernetes"])
    if host == HOST or not host:
        from kubewire.vm.choice import why_in_vm

        if why := why_in_vm(lab, overrides, provider, host):
            from kubewire.cli import in_vm

            raise typer.Exit(
                in_vm.bring_up(
                    lab, overrides, why, verify=verify, recreate=recreate, check=check, diff=diff, wait=wait
                )
            )
    if target := target_of(lab, host, inventory or ()):
        from kubewire.cli import elsewhere

        raise typer.Exit(
            elsewhere.bring_up(
                target,
                lab,
                overrides,
                provider=provider,
                verify=verify,
                recreate=recreate,
                check=check,
                diff=diff,
                wait=wait,
                reports=reports,
            )
        )
    raise typer.Exit(
        bring_up.bring_up(
            lab,
            overrides,
            provider=provider,
            verify=verify,
            recreate=recreate,
            check=check,
            diff=diff,
            wait=wait,
        )
    )
