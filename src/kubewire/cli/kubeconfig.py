"""`kubewire kubeconfig`."""

from __future__ import annotations

import typer

from kubewire.cli import options


def kubeconfig(lab: options.RunningLab, host: options.OnHost = "") -> None:
    """The path of the lab's kubeconfig, for kubectl on this machine.

    **Example**

    `export KUBECONFIG="$(kubewire kubeconfig iptables)"; kubectl get pods -o wide`
    """
    from kubewire.hosts import tunnel
    from kubewire.hosts.choice import one_away
    from kubewire.providers import recorded_provider
    from kubewire.steps.target import lab_name

    if there := one_away(lab, host):
        typer.echo(tunnel.kubeconfig(there))
        return
    name = lab_name(lab)
    typer.echo(recorded_provider(name).kubeconfig(name))
