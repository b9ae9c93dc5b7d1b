"""`kubewire doctor`."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

MARKS = {"ok": ("✔", "green"), "missing": ("✘", "red"), "note": ("·", "dim")}


def doctor() -> None:
    """What this machine can run and what is missing, with the way to mend it.

    Exit code 3 if it can't run an embedded lab in mode iptables or nftables.
    """
    import typer

    from kubewire.errors import HostError
    from kubewire.steps.survey import examine

    console = Console(highlight=False)
    findings = examine()
    for finding in findings:
        mark, style = MARKS[finding.state]
        console.print(
            Text.assemble((f"{mark} ", style), f"{finding.name:<26} ", finding.detail), soft_wrap=True
        )
        if finding.mend:
            for line in finding.mend.splitlines():
                console.print(Text(f"{'':<29}{line.strip()}", style="yellow"), soft_wrap=True)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(HostError.exit_code)
