"""`kubewire down`."""

from __future__ import annotations

import typer

from kubewire.cli import options


def down(lab: options.Lab, host: options.OnHost = "", wait: options.Wait = True) -> None:
    """Remove a lab and all that belongs to it: its nodes, processes and files.

    **Example**

    `kubewire down iptables`
    """
    from kubewire.app import down as take_down
    from kubewire.hosts.choice import away

    if known := away(lab, host):
        from kubewire.app import on_hosts

        name = next(iter(known.values())).lab
        raise typer.Exit(on_hosts.take_down(name, known, wait=wait))

    raise typer.Exit(take_down.take_down(lab, wait=wait))
