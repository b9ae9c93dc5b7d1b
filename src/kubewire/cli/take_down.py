"""What `kubewire down` does: the playbook, then its own logs."""

from __future__ import annotations

import sys

from kubewire.cli.display import Display
from kubewire.cli.outcome import finish
from kubewire.cli.playbook import forget_logs, run_playbook
from kubewire.steps.lock import lab_lock
from kubewire.steps.target import lab_name


def take_down(lab: str, *, wait: bool = True) -> int:
    """Remove a lab under its lock; after a success its logs go too. The exit code."""
    display = Display()
    name = lab_name(lab)
    command = " ".join(sys.argv[1:]) or "down"
    with lab_lock(name, command, wait=wait, tell=lambda who: display.line(f"lab {name}: {who}", "yellow")):
        run = run_playbook("down", name, {"lab": name}, display)
        code = finish(run, display)
        if code == 0:
            forget_logs(name)
            there = any(run.changed.values())
            display.line(f"lab {name} is removed" if there else f"there was no lab {name}", "green")
    return code
