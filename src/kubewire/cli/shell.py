"""`kubewire shell`."""

from __future__ import annotations

from kubewire.cli import options


def shell(lab: options.RunningLab, node: options.Node) -> None:
    """A shell on a node of a lab that is up.

    **Example**

    `kubewire shell iptables worker2`
    """
    import shutil

    from kubewire.cli.enter import enter

    enter(lab, node, [shutil.which("bash") or "/bin/sh"], prompt=f"{lab}/{node}")
