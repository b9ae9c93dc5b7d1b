"""`kubewire shell`."""

from __future__ import annotations

from kubewire.cli import options
from kubewire.cli.forwarding import in_the_terminal


@in_the_terminal
def shell(lab: options.RunningLab, node: options.Node) -> None:
    """Open a shell on a node of a running lab.

    **Example**

    `kubewire shell iptables worker2`
    """
    from kubewire.app.enter import shell as enter_shell

    enter_shell(lab, node)
