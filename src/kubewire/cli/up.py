"""`kubewire up`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from kubewire.cli import options


def up(
    lab: options.Lab,
    *,
    provider: options.Provider = "auto",
    host: options.Host = "local",
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
    check: Annotated[bool, typer.Option("--check", help="Only tell what would be done.")] = False,
    wait: options.Wait = True,
) -> None:
    """Make a lab, or bring one that is up back to its definition.

    A second run changes nothing and says so. What had drifted is named: changed replicas, a stopped
    kube-proxy, a rule deleted by hand.

    **Examples**

    `kubewire up iptables --verify`

    `kubewire up iptables --replicas 7 --kubernetes 1.34`

    `kubewire up my/lab.yml --set httpbin.sessionAffinity=ClientIP`
    """
    from kubewire.cli import bring_up

    options.check_host(host)
    if keep:
        os.environ["KUBEWIRE_KEEP"] = "1"
    overrides = options.overrides(kubernetes, mode, replicas, settings)
    raise typer.Exit(
        bring_up.bring_up(
            lab, overrides, provider=provider, verify=verify, recreate=recreate, check=check, wait=wait
        )
    )
