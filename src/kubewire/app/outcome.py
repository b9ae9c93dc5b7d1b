"""Print the outcome of a run, and return its exit code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubewire.app.display import Display
    from kubewire.app.playbook import Run

REMOVAL = 15.0
"""Seconds to wait until a lab whose creation was interrupted has removed itself."""
REMOVAL_IF_LIVED = 2.0
"""The same for a lab that was up before: it removes itself only if it was being recreated."""


def finish(run: Run, display: Display) -> int:
    """Print the failed task's message and the path of the log; the exit code."""
    display.close()
    if run.failure is None:
        return 0
    where = f" on {run.failure.host}" if run.failure.host not in ("", "localhost") else ""
    display.paragraph(f"kubewire: {run.failure.message}", "red")
    display.line(f"in the step “{run.failure.task}”{where}; the log: {run.folder / 'run' / 'stdout'}", "dim")
    return run.failure.exit_code


def tell_changes(run: Run, name: str, display: Display, *, check: bool = False) -> None:
    """Print the last line: the hosts that were changed, or with `check` would be."""
    display.close()
    changed = [f"{host} changed={count}" for host, count in sorted(run.changed.items()) if count]
    if check:
        would = f"up would change it: {', '.join(changed)}"
        display.line(f"lab {name}: {would if changed else 'up would change nothing'}", "green")
        return
    what = ", ".join(changed) or "nothing to do, changed=0 for every host"
    display.line(f"lab {name} is up: {what}", "green")


def tell_removal(name: str, display: Display, *, lived: bool) -> None:
    """After an interrupt: wait until a lab that wasn't ready has removed itself, and report it.

    `lived`: the lab was up before.
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
    display.line(f"interrupted; lab {name} still exists, kubewire up {name} continues", "yellow")
