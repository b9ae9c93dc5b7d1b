"""How the end of a run is told, and what its exit code is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubewire.app.display import Display
    from kubewire.app.playbook import Run

REMOVAL = 15.0
"""Seconds that a lab in the making is given to vanish after its maker."""
REMOVAL_IF_LIVED = 2.0
"""The same for one that was up before: it vanishes only if it was being made anew."""


def finish(run: Run, display: Display) -> int:
    """Tell the failing task's real message and where the log is; the exit code it means."""
    display.close()
    if run.failure is None:
        return 0
    where = f" on {run.failure.host}" if run.failure.host not in ("", "localhost") else ""
    display.paragraph(f"kubewire: {run.failure.message}", "red")
    display.line(f"in the step “{run.failure.task}”{where}; the log: {run.folder / 'run' / 'stdout'}", "dim")
    return run.failure.exit_code


def tell_changes(run: Run, name: str, display: Display, *, check: bool = False) -> None:
    """The last line: on which hosts something was changed, or with `check` would be."""
    display.close()
    changed = [f"{host} changed={count}" for host, count in sorted(run.changed.items()) if count]
    if check:
        would = f"up would change it: {', '.join(changed)}"
        display.line(f"lab {name}: {would if changed else 'up would change nothing'}", "green")
        return
    what = ", ".join(changed) or "nothing was to be done, changed=0 for every host"
    display.line(f"lab {name} is up: {what}", "green")


def tell_removal(name: str, display: Display, *, lived: bool) -> None:
    """After an interrupt: a lab that wasn't ready vanishes with its maker; wait for that, and say so.

    `lived` says that the lab was up before.
    """
    from kubewire.app.playbook import forget_logs
    from kubewire.providers.registry import providers

    makers = providers()
    for provider in makers:
        provider.abandon(name)
    deadline = time.monotonic() + (REMOVAL_IF_LIVED if lived else REMOVAL)
    while time.monotonic() < deadline:
        phases = {provider.status(name).phase for provider in makers}
        if not phases & {"starting", "ready", "failed"}:
            for provider in makers:
                provider.down(name)
            forget_logs(name)
            display.line(f"interrupted; nothing is left of lab {name}", "yellow")
            return
        time.sleep(0.1)
    display.line(f"interrupted; lab {name} is still there, kubewire up {name} finishes the work", "yellow")
