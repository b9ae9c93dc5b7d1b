"""`kubewire down`."""

from __future__ import annotations

import typer

from kubewire.cli import options


def down(lab: options.Lab, host: options.OnHost = "", wait: options.Wait = True) -> None:
    """Remove a lab and all that belongs to it: its nodes, processes and files.

    **Example**

    `kubewire down iptables`
    """
    from kubewire.cli import take_down
    from kubewire.hosts.choice import away

    if known := away(lab, host):
        from kubewire.cli import elsewhere

        name = next(iter(known.values())).lab
        raise typer.Exit(elsewhere.take_down(name, known, wait=wait))

    raise typer.Exit(take_down.take_down(lab, wait=wait))
