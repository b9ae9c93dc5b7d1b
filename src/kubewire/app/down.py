"""What `kubewire down` does: the step of playbooks/down.yml, without the wait for Ansible around it."""

from __future__ import annotations

import sys

from kubewire.app.display import Display
from kubewire.app.playbook import forget_logs
from kubewire.app.steps.remove import remove_lab
from kubewire.hosts.definitions import forget_unused
from kubewire.lab.lock import lab_lock
from kubewire.lab.lookup import lab_name


def take_down(lab: str, *, wait: bool = True) -> int:
    """Remove a lab under its lock, then its logs; the exit code."""
    display = Display()
    name = lab_name(lab)
    command = " ".join(sys.argv[1:]) or "down"
    with lab_lock(name, command, wait=wait, tell=lambda who: display.line(f"lab {name}: {who}", "yellow")):
        with display.running("Remove the lab and all that belongs to it"):
            removed = remove_lab(lab).changes
        forget_logs(name)
        display.line(f"lab {name} is removed" if removed else f"there was no lab {name}", "green")
    forget_unused()  # what the lock has kept until now: the definition that another machine sent
    return 0
