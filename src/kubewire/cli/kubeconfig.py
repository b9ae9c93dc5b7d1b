"""`kubewire kubeconfig`."""

from __future__ import annotations

import typer

from kubewire.cli import options


def kubeconfig(lab: options.RunningLab) -> None:
    """The path of the lab's kubeconfig, for kubectl on this machine.

    **Example**

    `export KUBECONFIG="$(kubewire kubeconfig iptables)"; kubectl get pods -o wide`
    """
    from kubewire.providers import recorded_provider
    from kubewire.steps.target import lab_name

    name = lab_name(lab)
    typer.echo(recorded_provider(name).kubeconfig(name))
