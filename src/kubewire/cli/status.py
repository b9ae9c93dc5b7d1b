"""`kubewire status`."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from kubewire.cli import options


def status(lab: options.Lab) -> None:
    """How a lab is now: its phase, its nodes, each component. Exit code 4 unless the lab is ready.

    **Example**

    `kubewire status iptables`
    """
    import typer

    from kubewire.errors import LabError
    from kubewire.steps.survey import status_lines

    phase, lines = status_lines(lab)
    console = Console(highlight=False)
    for label, text in lines:
        console.print(Text.assemble((f"{label:<40} ", "bold"), text), soft_wrap=True)
    if phase != "ready":
        raise typer.Exit(LabError.exit_code)
