"""`kubewire down`."""

from __future__ import annotations

import typer

from kubewire.cli import options


def down(lab: options.Lab, wait: options.Wait = True) -> None:
    """Remove a lab and all that belongs to it: its nodes, processes and files.

    **Example**

    `kubewire down iptables`
    """
    from kubewire.cli import take_down

    raise typer.Exit(take_down.take_down(lab, wait=wait))
