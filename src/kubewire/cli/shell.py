"""`kubewire shell`."""

from __future__ import annotations

from kubewire.cli import options


def shell(lab: options.RunningLab, node: options.Node, host: options.OnHost = "") -> None:
    """A shell on a node of a lab that is up.

    **Example**

    `kubewire shell iptables worker2`
    """
    import shutil

    from kubewire.app.enter import enter
    from kubewire.hosts.choice import one_away
    from kubewire.hosts.remote import become

    if there := one_away(lab, host):
        become(there, ["shell", there.lab, node])

    enter(lab, node, [shutil.which("bash") or "/bin/sh"], prompt=f"{lab}/{node}")
