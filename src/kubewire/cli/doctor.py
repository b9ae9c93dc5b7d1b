"""`kubewire doctor`."""

from __future__ import annotations

MARKS = {"ok": ("✔", "green"), "missing": ("✘", "red"), "note": ("·", "dim")}


def doctor() -> None:
    """Check what this machine can run, what is missing, and how to fix it.

    Exit code 3 if it can't run an embedded lab in mode iptables or nftables.
    """
    import typer

    from kubewire.app.doctor import examine
    from kubewire.core.console import Screen
    from kubewire.core.errors import HostError

    screen = Screen()
    findings = examine()
    for finding in findings:
        mark, style = MARKS[finding.state]
        screen.line((f"{mark} ", style), f"{finding.name:<26} ", finding.detail)
        for line in finding.hint.splitlines():
            screen.line(f"{'':<29}{line.strip()}", style="yellow")
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(HostError.exit_code)
