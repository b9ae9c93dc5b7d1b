"""`kubewire down`."""

from __future__ import annotations

import typer

from kubewire.cli import options


def down(lab: options.Lab, host: options.OnHost = "", wait: options.Wait = True) -> None:
    """Remove a lab with its nodes, processes and files.

    **Example**

    `kubewire down iptables`
    """
    from kubewire.app.placement import resolve

    raise typer.Exit(resolve(lab, host).down(wait=wait))
