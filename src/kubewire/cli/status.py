"""`kubewire status`."""

from __future__ import annotations

from kubewire.cli import options


def status(lab: options.Lab, host: options.OnHost = "", form: options.Form = "text") -> None:
    """How a lab is now: its phase, its nodes, each component. Exit code 4 unless the lab is ready.

    As JSON also a lab of which nothing is known has a phase, `absent`.

    **Examples**

    `kubewire status iptables`

    `kubewire status iptables --format json`
    """
    import json

    import typer

    from kubewire.app.status import lab_status, status_lines, status_or_absent
    from kubewire.core import console
    from kubewire.core.errors import LabError
    from kubewire.hosts.choice import one_away
    from kubewire.hosts.remote import relay

    if there := one_away(lab, host):
        if form == "text":
            console.out(f"{'host':<40} {there.place.name}")
        relay(there, ["status", there.lab, "--format", form])
    found = status_or_absent(lab) if form == "json" else lab_status(lab)
    if form == "json":
        console.document(json.dumps(found, indent=1) + "\n")
    else:
        screen = console.Screen()
        for label, text in status_lines(found):
            screen.line((f"{label:<40} ", "bold"), text)
    if found["phase"] != "ready":
        raise typer.Exit(LabError.exit_code)
