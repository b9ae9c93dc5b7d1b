"""`kubewire status`."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from kubewire.cli import options


def status(lab: options.Lab, host: options.OnHost = "") -> None:
    """How a lab is now: its phase, its nodes, each component. Exit code 4 unless the lab is ready.

    **Example**

    `kubewire status iptables`
    """
    import typer

    from kubewire.errors import LabError
    from kubewire.hosts.choice import one_away
    from kubewire.hosts.far import become
    from kubewire.steps.survey import status_lines

    console = Console(highlight=False)
    if there := one_away(lab, host):
        console.print(Text.assemble((f"{'host':<40} ", "bold"), there.place.name), soft_wrap=True)
        become(there, ["status", there.lab])
    phase, lines = status_lines(lab)
    for label, text in lines:
        console.print(Text.assemble((f"{label:<40} ", "bold"), text), soft_wrap=True)
    if phase != "ready":
        raise typer.Exit(LabError.exit_code)
