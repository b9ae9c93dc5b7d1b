"""`kubewire status`."""

from __future__ import annotations

from kubewire.cli import options


def status(lab: options.Lab, host: options.OnHost = "", form: options.Form = "text") -> None:
    """Show a lab's phase, nodes and components. Exit code 4 unless the lab is ready.

    As JSON a lab that doesn't exist has the phase `absent`.

    **Examples**

    `kubewire status iptables`

    `kubewire status iptables --format json`
    """
    import typer
    from msgspec import json

    from kubewire.app import labs
    from kubewire.core import console
    from kubewire.core.errors import LabError

    found, lines = labs.status(lab, host, absent=form == "json")
    if form == "json":
        console.document(json.format(json.encode(found), indent=1).decode() + "\n")
    else:
        screen = console.Screen()
        for label, text in lines:
            screen.line((f"{label:<40} ", "bold"), text)
    if found.phase != "ready":
        raise typer.Exit(LabError.exit_code)
