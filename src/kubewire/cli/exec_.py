"""`kubewire exec`."""

from __future__ import annotations

from typing import Annotated

import typer

from kubewire.cli import options
from kubewire.cli.forwarding import in_the_terminal


@in_the_terminal
def exec_(
    lab: options.RunningLab,
    node: options.Node,
    command: Annotated[list[str], typer.Argument(help="The command and its arguments.", metavar="CMD…")],
) -> None:
    """Run a command on a node of a running lab; the exit code is the command's.

    **Examples**

    `kubewire exec iptables worker -- iptables -t nat -L KUBE-SERVICES`

    `kubewire exec nftables control-plane -- nft list table ip kube-proxy`
    """
    from kubewire.app.enter import enter

    argv = command[1:] if command[0] == "--" else command
    if not argv:
        raise typer.BadParameter("name the command to run", param_hint="'CMD…'")
    enter(lab, node, argv)
